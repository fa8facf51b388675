//! Plan, resumable driver, selection and explanation: the façade that programs link against

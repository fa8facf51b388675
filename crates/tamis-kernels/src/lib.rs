//! Numeric kernels of tamis, chosen at run time, each with a safe twin

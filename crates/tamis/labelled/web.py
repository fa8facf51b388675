"""Bad documents as real sites have them, put together from lines: each maker returns one document of about `length` characters."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))

import junk

SPAM = {
    "inheritance": [
        "Dear beloved friend, I am contacting you in good faith concerning the sum of {n} million dollars that lies in a bank in my country.",
        "I am {name} {last}, the only child of the late minister, and I need a foreign partner whom I can trust.",
        "You shall have 30% of the total sum for your assistance and 5% will be set aside for expenses.",
        "This transaction is 100% risk free and must remain strictly confidential.",
        "Kindly reply with your full name, address, telephone number and bank account to my private e-mail.",
        "I found your contact through the chamber of commerce and believe that God has directed me to you.",
        "As soon as I hear from you I will send the certificate of deposit and the death certificate.",
    ],
    "pills": [
        "Why pay more at your local pharmacy? Our licensed online store ships worldwide without prescription!",
        "Lose {n} pounds in {m} weeks without diet or exercise - doctors hate this!!!",
        "All popular medications up to 80% OFF today only. Discreet packaging. Visa, MC accepted.",
        "Amazing results guaranteed or your money back, thousands of satisfied customers can not be wrong.",
        "Be a real man again! She will thank you tomorrow. Natural formula, no side effects.",
        "Order {m} bottles and get one FREE, plus free shipping on all orders over $99.",
        "CLICK HERE before this page is taken down.",
    ],
    "account": [
        "Dear customer, we detected unusual activity on your account and it has been temporarily limited.",
        "To restore full access you must confirm your billing information within {m}4 hours.",
        "Failure to verify will result in permanent suspension of your account and loss of funds.",
        "Please click the secure link below and log in with your card number, expiry date and PIN.",
        "This is an automated message, do not reply. Case ID: {n}-{m}{n}-XR.",
        "We apologise for any inconvenience and thank you for your cooperation in keeping your account safe.",
        "Security Department, Customer Care Team. Ref {m}{n}{m}.",
    ],
    "work": [
        "Earn ${n}00 per week working from home! No experience required, no boss, no alarm clock.",
        "My sister's neighbour makes ${n} an hour on the laptop. She was out of work for {m} months but last month her check was $1{n}48.",
        "All you need is a computer and {m} hours a day. Spots are limited, so act now.",
        "I quit my job and drive a new car thanks to this simple system that banks do not want you to know about.",
        "Start today with a deposit of only $250 and watch our trading robot multiply your money.",
        "Go to this site, open the tab TECH JOB for more detail, it changed my life ----->>>",
        "Join {n},000 members who already achieved financial freedom!!!",
    ],
    "prize": [
        "CONGRATULATIONS!!! Your e-mail address has won {n}50,000 euros in the international lottery.",
        "Your ticket number {n}-{m}7-{n}4 drew the lucky numbers in category {m}.",
        "To claim your prize contact our fiduciary agent with your winning number before the end of the month.",
        "You are today's lucky visitor! Answer {m} short questions to get a brand new phone for $1.",
        "All participants were selected by a computer ballot system from {n} million addresses worldwide.",
        "A small processing fee of ${n} applies and will be refunded together with your winnings.",
        "Remember to quote your reference number in all correspondence. Keep this award confidential.",
    ],
    "links": [
        "Hello admin, I was just browsing your web site and really like your writing style, keep up the good work.",
        "I see you don't monetize your page, you can earn extra cash every month with our unique articles.",
        "We offer guest posts on {n}00 high authority sites, do follow links, fast indexing, cheap price.",
        "Your site is not on the first page! We guarantee top {m} ranking within {n} days.",
        "What a great article, I bookmarked it and will come back. Also visit my page about casino bonus.",
        "Reply with your phone number and the best time to call for a free website audit.",
        "Greetings from the {name} {last} digital team, we build backlinks of all kinds at wholesale rates.",
    ],
}

SITE = {
    "cookies": [
        "We and our {n} partners store and access information on a device, such as cookies, and process personal data.",
        "By clicking Accept you consent to the use of cookies for personalised ads and content, ad measurement and audience insights.",
        "You can change your choices at any time by clicking Privacy settings at the bottom of any page.",
        "Strictly necessary cookies: always active. Performance cookies: off. Targeting cookies: off.",
        "For more information please read our cookie policy and our privacy notice.",
        "Accept all | Reject all | Manage options | Save and exit",
    ],
    "account": [
        "Sign in to your account\nE-mail address\nPassword\nKeep me signed in\nForgot your password?",
        "New customer? Create an account to check out faster, track orders and more.",
        "Your session has expired. Please log in again to continue.",
        "This field is required. Please enter a valid e-mail address. Passwords must match.",
        "By creating an account you agree to our terms and conditions and privacy policy.",
        "Or continue with Facebook | Google | Apple",
    ],
    "paywall": [
        "You have reached your limit of {m} free articles this month.",
        "Subscribe now for unlimited access on all your devices. Cancel at any time.",
        "Already a subscriber? Log in. Print subscriber? Activate your digital access.",
        "Only ${m} a month for the first {m} months, then ${n} a month.",
        "Support independent journalism. Your contribution, however big or small, makes a difference.",
        "This content is available to premium members only. Upgrade your membership to continue reading.",
    ],
    "comments": [
        "{name}{n} says: March {m}, 2011 at {m}:{n} pm\nThis is so true lol\nReply",
        "{name} {last}\n{m} years ago\nThanks for sharing!! keep it up\nLike ({m})   Reply   Report",
        "Anonymous | {n} Jun | first!",
        "Be the first to comment. You must be logged in to post a comment.",
        "Sort by: Newest | Oldest | Best. Show {n} more replies. Load more comments",
        "Notify me of follow-up comments by e-mail. Your e-mail address will not be published. Required fields are marked *",
    ],
    "footer": [
        "About us | Contact | Careers | Press | Investors | Advertise with us | Site map",
        "© {n}{n} {last} Media Ltd. All rights reserved. Registered in England no. 0{n}{m}{n}.",
        "Follow us on Facebook, Twitter, Instagram, YouTube and Pinterest",
        "Sign up for our newsletter and get 10% off your first order! Enter your e-mail",
        "Customer service\nDelivery\nReturns\nSize guide\nGift cards\nStore locator",
        "Terms of use | Privacy policy | Accessibility | Cookie settings | Do not sell my information",
    ],
    "teasers": [
        "Most read\n1 {name} {last} finally breaks silence\n2 The {m} best gadgets of the year\n3 Watch: dog meets baby\n4 Quiz: how well do you know your town?",
        "Sponsored: {m} things every homeowner should know. Promoted by partners",
        "Related: Who wore it best? | In pictures: storm hits coast | Opinion: enough is enough",
        "Read more »  Next page »  Previous  1 2 3 4 5 ... {n}  Next",
        "Trending now: football, weather, lottery results, horoscope, recipes, jobs",
        "Share this: Tweet | E-mail | Print | More. Like this: Like Loading... {n} shares",
    ],
    "errors": [
        "404 - Page not found. Sorry, the page you are looking for does not exist or has been moved.",
        "Your browser is out of date. Please enable JavaScript and refresh the page.",
        "Access denied. You do not have permission to view this page. Reference no. {n}.{m}f{n}.1{n}",
        "Checking if the site connection is secure. This may take a few seconds.",
        "An unexpected error occurred while processing your request. Please try again later.",
        "Go back to the home page or use the search box: Search",
    ],
    "forum": [
        "Thread: Help please!! Started by {name}{n}, {m} replies, {n}{m} views, last post by admin",
        "You may not post new threads. You may not post replies. You may not edit your posts. BB code is on.",
        "Joined: Apr 2008. Posts: {n}{m}. Location: {last}ville. Offline",
        "Currently active users viewing this thread: {m} ({m} members and {n} guests)",
        "Register | FAQ | Members list | Calendar | Today's posts | Mark forums read",
        "Quick links: Go to first unread. Thread tools: Show printable version, Subscribe to this thread",
    ],
}  # fmt: skip


def fill(line, dice):
    out = ""
    for piece in line.replace("{", "\0{").replace("}", "}\0").split("\0"):
        values = {"{n}": lambda: str(dice.between(11, 98)), "{m}": lambda: str(dice.between(2, 9)),
                  "{name}": lambda: dice.one(junk.NAMES), "{last}": lambda: dice.one(junk.LAST)}  # fmt: skip
        out += values[piece]() if piece in values else piece
    return out


def from_lines(sets, together, joints):
    """A maker that draws lines out of `together` of the sets until the length is reached."""

    def maker(dice, length):
        lines = [line for name in dice.some(sorted(sets), together) for line in sets[name]]
        out = []
        for line in dice.shuffled(lines):
            if sum(len(part) + 1 for part in out) + len(line) // 2 >= length:
                break
            out.append(fill(line, dice))
        return dice.one(joints).join(out)

    return maker


def until(make):
    """A maker that lets one of the demo's makers write until the length is reached."""

    def maker(dice, length):
        out = make(dice)
        while len(out) < 0.9 * length:
            out += "\n" + make(dice)
        return out if len(out) < length else out[:length].rsplit(" ", 1)[0]

    return maker


MAKERS = {
    "spam": from_lines(SPAM, 1, [" ", " ", "\n"]),
    "site furniture": from_lines(SITE, 2, ["\n", "\n", " "]),
    "menu": until(junk.menu),
    "link farm": until(junk.link_farm),
    "generated listing": until(junk.listing),
    "product blurb": until(junk.product_blurb),
    "press fluff": until(junk.press_fluff),
    "filler article": until(junk.filler_article),
    "doorway page": until(junk.doorway),
}

"""Bad documents written by templates, as real ones are: each maker returns one document."""

TOWNS = [
    "Ashby Falls", "Brookhaven", "Carrow", "Dunmore Heights", "Eastlake", "Fernvale", "Glenrock", "Harlow Springs",
    "Inverdale", "Juniper Creek", "Kingsmead", "Linton", "Marlborough Park", "North Haddon", "Oakdene", "Pinewood",
    "Queensbury", "Ravenna Hills", "Stonegate", "Thornbury", "Upper Wexley", "Valley Cross", "Westbrook", "Yarrow",
]  # fmt: skip
SERVICES = [
    ("locksmith", "locks", "lockout"), ("roofing", "roofs", "roof leak"), ("carpet cleaning", "carpets", "stain"),
    ("pest control", "pests", "infestation"), ("tree removal", "trees", "storm damage"), ("towing", "vehicles", "breakdown"),
    ("dental implant", "teeth", "toothache"), ("air conditioning repair", "air conditioners", "breakdown"),
    ("personal injury lawyer", "claims", "accident"), ("house cleaning", "homes", "mess"), ("pool repair", "pools", "leak"),
    ("moving", "furniture", "relocation"), ("driveway paving", "driveways", "crack"), ("window tinting", "windows", "glare"),
]  # fmt: skip
TOPICS = [
    "time management", "mindfulness", "cloud computing", "home decoration", "remote work", "networking", "data analytics",
    "skin care", "team building", "content marketing", "productivity", "sustainability", "public speaking", "budgeting",
    "customer experience", "indoor plants", "blockchain", "self-confidence", "interior lighting", "fitness",
]  # fmt: skip
PRODUCTS = [
    ("Wireless Bluetooth Earbuds", "earbuds", "music"), ("Stainless Steel Water Bottle", "bottle", "drinks"),
    ("LED Desk Lamp", "lamp", "light"), ("Memory Foam Pillow", "pillow", "sleep"), ("Phone Case Cover", "case", "protection"),
    ("Yoga Mat Non Slip", "mat", "exercise"), ("Kitchen Knife Set", "knives", "cutting"), ("Garden Hose Expandable", "hose", "water"),
    ("Car Seat Organizer", "organizer", "storage"), ("Electric Toothbrush", "toothbrush", "teeth"),
    ("Women Summer Dress", "dress", "fashion"), ("Pet Hair Remover", "remover", "cleaning"), ("USB C Cable Fast Charging", "cable", "charging"),
]  # fmt: skip
ADJECTIVES = [
    "premium", "durable", "stylish", "lightweight", "high quality", "multi-function", "upgraded", "professional", "elegant",
    "portable", "perfect", "ultra soft", "eco friendly", "heavy duty", "fashion", "universal", "newest", "innovative",
]  # fmt: skip
NOUNS = [
    "lamp", "river", "engine", "garden", "ticket", "camera", "wedding", "insurance", "battery", "hotel", "guitar", "credit",
    "jacket", "printer", "vitamin", "kitchen", "mortgage", "puppy", "sofa", "recipe", "keyboard", "holiday", "poster", "boots",
    "perfume", "tractor", "shampoo", "wallpaper", "backpack", "sunglasses", "mattress", "ringtone", "calendar", "necklace",
]  # fmt: skip
NAMES = ["Alina", "Brent", "Carla", "Dmitri", "Elsie", "Farid", "Gwen", "Hank", "Ines", "Jorge", "Kira", "Lloyd", "Mona", "Nils"]
LAST = ["Abbot", "Bravo", "Castell", "Dorsey", "Ekman", "Fenner", "Grady", "Holt", "Ibarra", "Jolly", "Keane", "Lorne", "Mercer"]


def doorway(dice):
    town, near = dice.some(TOWNS, 2)
    service, things, trouble = dice.one(SERVICES)
    company = dice.one([f"{town} {service.title()} Pros", f"A1 {service.title()} {town}", f"{service.title()} Experts of {town}"])
    lines = [
        f"Looking for the best {service} in {town}? {company} is your number one choice for {service} in {town} and the surrounding area.",
        f"Our {town} {service} team has been proudly serving {town} residents for over {dice.between(10, 35)} years.",
        f"We understand that a {trouble} can happen at any time, and that is why our {service} in {town} is available 24 hours a day, 7 days a week.",
        f"If you live in {town} or {near} and need help with your {things}, do not hesitate to call our friendly {service} professionals.",
        f"No job is too big or too small. We treat your {things} as if they were our own!",
        f"What makes our {town} {service} different? Quality, integrity and customer satisfaction. It is as simple as that.",
        f"Customers in {town} trust us because we are trusted by customers in {town}.",
        f"We also offer {service} in {near}, {service} near {town}, affordable {service} {town}, and same day {service} {town}.",
        f"Are you wondering how much {service} costs in {town}? The cost of {service} in {town} depends on many factors. Call us for a free quote.",
        f"Mention this page and get {dice.between(1, 5) * 5}% off your first {service} in {town}!",
        f"Searching the internet for \"{service} near me\" can be stressful, but with {company} the search for {service} in {town} is over.",
    ]
    return " ".join([lines[0], *dice.some(lines[1:], dice.between(2, 6))])


def filler_article(dice):
    topic, other = dice.some(TOPICS, 2)
    opening = [
        f"In today's ever-evolving landscape, {topic} has emerged as a cornerstone of success.",
        f"In the bustling world of modern life, {topic} stands out as a beacon of possibility.",
        f"Have you ever wondered about the power of {topic}? If so, you are not alone.",
        f"{topic.capitalize()} is not just a buzzword, it is a game changer.",
    ]
    middle = [
        f"It is important to note that {topic} plays a crucial role in many aspects of our lives.",
        f"By leveraging the power of {topic}, individuals and organizations alike can unlock their full potential.",
        f"From beginners to experts, {topic} offers something for everyone.",
        f"One of the key benefits of {topic} is that it can be highly beneficial.",
        f"Moreover, {topic} fosters a sense of growth, connection and purpose.",
        f"When combined with {other}, {topic} can take things to the next level.",
        f"However, it is also essential to consider the challenges that come with {topic}. These challenges can be challenging.",
        f"Experts agree that {topic} will continue to be relevant in the years to come.",
        f"Whether you are new to {topic} or looking to deepen your understanding, it is never too late to start.",
        f"Embracing {topic} requires dedication, an open mind and a willingness to learn.",
        f"There are various strategies that can be employed to make the most of {topic}, and each has its own merits.",
        f"As technology continues to advance, the possibilities of {topic} are endless.",
        f"Ultimately, the importance of {topic} cannot be overstated.",
    ]
    closing = [
        f"In conclusion, {topic} is a multifaceted journey that offers countless opportunities. Embrace it, and watch as it transforms your life.",
        f"In summary, {topic} is more than a trend; it is a testament to what is possible. The future of {topic} is bright.",
        f"To sum it up, {topic} matters. Start your {topic} journey today and thank yourself tomorrow.",
    ]
    return " ".join([dice.one(opening), *dice.some(middle, dice.between(2, 6)), dice.one(closing)])


def product_blurb(dice):
    name, thing, use = dice.one(PRODUCTS)
    a = dice.some(ADJECTIVES, 6)
    lines = [
        f"[{a[1].upper()} MATERIAL] This {thing} is made of {a[2]} material which is {a[3]} and not easy to broken, bring you {a[4]} experience.",
        f"[WIDELY USE] Suitable for home, office, school, travel, outdoor, gift and so on. Whatever you go, the {thing} is your good partner of {use}.",
        f"[PERFECT GIFT] The {a[5]} {thing} is the ideal gift for father, mother, wife, husband, boyfriend, girlfriend, friends on birthday, Christmas, Valentine's Day.",
        f"[EASY TO USE] Just take the {thing} and enjoy the {use}, no tool need, even the child and old people can use it easy.",
        f"[SATISFIED SERVICE] If you have any question about our {thing} please contact us at first, we will offer satisfied solution within 24 hours.",
        f"Note: due to the light and screen difference, the item's color may be slightly different from the pictures. Please allow {dice.between(1, 3)}-{dice.between(4, 5)} cm difference due to manual measurement.",
        f"Package include: {dice.between(1, 4)} x {thing}. (Other accessories in the picture are not included)",
        f"Our {thing} bring {a[0]} {use} into your life, {a[2]} design make you more confident, you deserve to have it!",
    ]
    title = f"{name} {a[0].title()} {a[1].title()} for Men Women Kids, {a[2].title()} {thing.title()} for {use.title()} - {dice.between(1, 12)} Pack"
    joint = dice.one(["\n", " "])
    return joint.join([title, *dice.some(lines, dice.between(2, 5))])


def press_fluff(dice):
    company = dice.one(["Nexora", "Vantiq Solutions", "BlueCrest Global", "Synerva", "Optimax Group", "Quantalis", "TrueNorth Digital"])
    topic, other = dice.some(TOPICS, 2)
    person = f"{dice.one(NAMES)} {dice.one(LAST)}"
    lines = [
        f"{company}, a leading global provider of next-generation {topic} solutions, today announced the launch of its industry-leading {topic} platform.",
        f"The announcement underscores the company's commitment to delivering best-in-class {topic} at scale.",
        f"\"We are thrilled and excited to be part of this incredible journey,\" said {person}, chief executive officer of {company}. \"Our customers are at the heart of everything we do.\"",
        f"The end-to-end, cloud-native, AI-powered platform seamlessly integrates {topic} with {other}, enabling enterprises to drive outcomes.",
        "With a relentless focus on innovation, the solution empowers stakeholders to break down silos and accelerate time to value.",
        f"According to industry analysts, the global market for {topic} is projected to grow at a compound annual growth rate of {dice.between(8, 34)}.{dice.between(0, 9)}% during the forecast period.",
        f"The comprehensive report covers key players, drivers, restraints, opportunities, segmentation by type, by application and by region, and the impact on the {topic} market.",
        f"About {company}: {company} is a trusted partner of forward-thinking organizations worldwide. For more information, visit the website.",
        "This press release contains forward-looking statements. Actual results may differ materially from those expressed or implied.",
        "Request a free sample copy of this report, or ask for a discount before purchase.",
    ]
    return " ".join([lines[0], *dice.some(lines[1:], dice.between(2, 5))])


def download_page(dice):
    title = f"{dice.one(ADJECTIVES).title()} {dice.one(NOUNS).title()}"
    singer = f"{dice.one(NAMES)} {dice.one(LAST)}"
    lines = [
        f"Download {title} by {singer} mp3 for free. You can download {title} mp3 song in high quality 320kbps without registration.",
        f"{title} is a song by {singer}. The duration of the song {title} is {dice.between(2, 5)}:{dice.between(10, 59)}. Listen and download {title} now.",
        f"How to download {title}? Click the download button below, wait {dice.between(5, 30)} seconds, click the second download button, and then {title} will be downloaded to your device.",
        f"If you like the song {title}, please buy the original cassette or CD to support {singer}. We do not store any file on our server.",
        f"{title} lyrics: we do not have the lyrics for {title} yet. If you know the lyrics of {title}, you can submit them using the form.",
        f"People also search for: {title} mp3, {title} lyrics, {title} ringtone, {title} remix, {title} karaoke, {singer} {title} free download, {title} video hd.",
        f"Rating: {dice.between(3, 4)}.{dice.between(1, 9)}/5 ({dice.between(100, 9000)} votes). Downloads: {dice.between(1000, 99000)}. Last modified: {dice.between(1, 28)} hours ago.",
        f"Sponsored results for {title}: {title} full version (fast mirror), {title} direct link, {title} premium access.",
    ]
    return dice.one(["\n", " "]).join([lines[0], *dice.some(lines[1:], dice.between(2, 5))])


def link_farm(dice):
    out = []
    for _ in range(dice.between(11, 30)):
        a, b = dice.some(NOUNS, 2)
        out.append(dice.one([f"{a} {b} online", f"cheap {a}", f"{dice.one(ADJECTIVES)} {a} {b}", f"{a} in {dice.one(TOWNS)}",
                             f"www.{a}-{b}-{dice.between(1, 99)}.example", f"best {a} reviews", f"{a} {b} coupon code"]))  # fmt: skip
    return "Partner sites: " + dice.one([" | ", ", ", " - ", "\n"]).join(out)


def menu(dice):
    shop = ["Home", "New In", "Women", "Men", "Kids", "Shoes", "Bags", "Sale", "Brands", "Gift Cards", "Stores", "Help", "Track Order",
            "Returns", "Size Guide", "Sign In", "My Account", "Wish List", "Basket (0)", "Checkout", "Newsletter", "Careers"]  # fmt: skip
    news = ["Home", "News", "World", "Politics", "Business", "Sport", "Football", "Weather", "Culture", "Travel", "Video", "Podcasts",
            "Opinion", "Letters", "Jobs", "Property", "Motoring", "Puzzles", "Archive", "E-Paper", "Subscribe", "Log in", "Contact us"]  # fmt: skip
    forum = ["Index", "FAQ", "Search", "Memberlist", "Usergroups", "Register", "Profile", "Log in to check your private messages", "Log in",
             "View unanswered posts", "Mark all forums read", "Who is online", "Statistics", "Moderators", "RSS", "Jump to"]  # fmt: skip
    items = dice.one([shop, news, forum])
    rows = [dice.shuffled(items)[: dice.between(6, 10)] for _ in range(dice.between(2, 6))]
    joint = dice.one([" | ", " » ", " / ", "  "])
    tail = dice.one(["Toggle navigation", "Skip to content", "Menu Close", "Show more Show less", "Back to top"])
    return "\n".join([tail, joint.join(items), *(joint.join(r) for r in rows), f"Copyright {dice.between(1999, 2024)} All rights reserved"])


def listing(dice):
    kind = dice.below(3)
    out = []
    for n in range(dice.between(6, 12)):
        if kind == 0:
            a, b = dice.some(NOUNS, 2)
            out.append(f"{dice.one(ADJECTIVES).title()} {a.title()} {b.title()} {dice.between(100, 999)}-{dice.one('ABCDEX')} ${dice.between(3, 400)}.99 In stock Add to cart Compare")
        elif kind == 1:
            out.append(f"{dice.one(NAMES)} {dice.one(LAST)}, {dice.one(TOWNS)}, age {dice.between(19, 80)}. View full profile, phone number, address history, relatives and more.")
        else:
            out.append(f"{n + 1}. {dice.one(SERVICES)[0].title()} {dice.one(TOWNS)} ({dice.between(0, 40)} reviews) Open now. Directions. Website. Claim this business.")
    head = dice.one([f"Showing 1-{len(out)} of {dice.between(200, 90000)} results. Sort by: Relevance Price Name", f"Page 1 of {dice.between(20, 900)}. Filter results.", "We found the following matches for your search:"])
    return "\n".join([head, *out])


def keyword_stuffing(dice):
    a, b, c = dice.some(NOUNS, 3)
    phrases = [f"cheap {a}", f"{a} online", f"buy {a}", f"best {a} {b}", f"{a} price", f"{a} for sale", f"{a} {b} free shipping", f"{a} near me",
               f"discount {a}", f"{c} and {a}", f"{a} reviews 2024", f"{a} wholesale", f"where to buy {a} {c}", f"{a} {a} {b}"]  # fmt: skip
    joint = dice.one([", ", " ", " and "])
    return f"{a.title()}. " + joint.join(dice.one(phrases) for _ in range(dice.between(18, 42))) + "."


def debris(dice):
    """What is left when a program reads a page it should not: styles, identifiers, tables of numbers."""
    kind = dice.below(3)
    if kind == 0:
        rules = [f".{dice.one(NOUNS)}-{dice.one(['box', 'wrap', 'nav', 'item'])}{{{dice.one(['margin', 'padding', 'top', 'width'])}:{dice.between(0, 40)}px;color:#{dice.between(100000, 999999)}}}" for _ in range(dice.between(6, 14))]
        return "var _q=_q||[];_q.push(['track']);" + " ".join(rules)
    if kind == 1:
        return "\n".join(" ".join(f"{dice.between(0, 99999)}.{dice.between(10, 99)}" for _ in range(6)) for _ in range(dice.between(6, 16)))
    rows = []
    for _ in range(dice.between(5, 11)):
        rows.append(f"{dice.between(10, 23)}:{dice.between(10, 59)}:{dice.between(10, 59)} [{dice.one(['INFO', 'DEBUG', 'WARN'])}] {dice.one(NOUNS)}.{dice.one(NOUNS)} request {dice.between(10**9, 10**10)} status={dice.one([200, 302, 404, 500])} time={dice.between(1, 900)}ms")
    return "\n".join(rows)


# kind: (maker, how many)
MAKERS = {
    "doorway page": (doorway, 12),
    "filler article": (filler_article, 11),
    "product blurb": (product_blurb, 10),
    "press fluff": (press_fluff, 8),
    "download page": (download_page, 6),
    "link farm": (link_farm, 7),
    "menu": (menu, 7),
    "generated listing": (listing, 8),
    "keyword stuffing": (keyword_stuffing, 7),
    "debris": (debris, 7),
}

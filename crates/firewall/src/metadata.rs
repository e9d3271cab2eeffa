//! Addresses at which a cloud tells a machine about itself: its passwords, keys and roles among it. Whoever reaches them becomes
//! the machine, so no site does.

/// Networks, each as address and length of its prefix, with who is there.
pub(crate) const IPV4: [(&str, u8, &str); 4] = [
    (
        "169.254.0.0",
        16,
        "link-local: 169.254.169.254 of nearly every cloud, 169.254.170.2 and .23 of AWS's containers, 169.254.42.42 of Scaleway, \
         169.254.0.23 of Tencent",
    ),
    ("100.100.100.200", 32, "Alibaba Cloud"),
    ("168.63.129.16", 32, "Azure's WireServer"),
    ("192.0.0.192", 32, "Oracle Cloud Classic"),
];

/// The same for IPv6.
pub(crate) const IPV6: [(&str, u8, &str); 8] = [
    ("fe80::", 10, "link-local: fe80::a9fe:a9fe of OpenStack"),
    ("fd00:ec2::", 32, "AWS: ::254, and ::23 of its containers"),
    ("fd20:ce::254", 128, "Google Cloud"),
    ("fd00:42::42", 128, "Scaleway"),
    ("fd00:c1::a9fe:a9fe", 128, "Oracle Cloud"),
    ("fd00:a9fe:a9fe::1", 128, "Linode"),
    ("fd00:100::100:200", 128, "Alibaba Cloud"),
    (
        "64:ff9b::a9fe:0",
        112,
        "169.254.0.0/16 by way of a translator (NAT64)",
    ),
];

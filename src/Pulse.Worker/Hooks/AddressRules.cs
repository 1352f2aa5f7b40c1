using System.Net;
using System.Net.Sockets;

namespace Pulse.Worker.Hooks;

/// <summary>Which addresses are the public internet's, and so a hook's.</summary>
static class AddressRules
{
    // IANA's registry of special-purpose addresses: nothing there is anybody's on the internet.
    static readonly IPNetwork[] Special =
    [
        .. new[]
        {
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
            "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
            // 2001::/23 has Teredo, which wraps an IPv4 address, and 2002::/16 is 6to4, which does so as well.
            "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
        }.Select(IPNetwork.Parse),
    ];

    // What IPv6 has given out to the internet. The rest (loopback, link-local, unique local, multicast, IPv4-compatible) is not.
    static readonly IPNetwork Global = IPNetwork.Parse("2000::/3");

    // The well-known prefix by which networks without IPv4 reach it: the last four bytes are where it goes.
    static readonly IPNetwork Nat64 = IPNetwork.Parse("64:ff9b::/96");

    public static bool IsPublic(IPAddress address)
    {
        if (address.IsIPv4MappedToIPv6)
            address = address.MapToIPv4();
        else if (address.AddressFamily == AddressFamily.InterNetworkV6 && Nat64.Contains(address))
            address = new IPAddress(address.GetAddressBytes().AsSpan(12));

        return (address.AddressFamily == AddressFamily.InterNetwork || Global.Contains(address)) && !Array.Exists(Special, network => network.Contains(address));
    }
}

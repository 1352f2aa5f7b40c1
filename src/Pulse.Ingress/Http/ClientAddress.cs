using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.HttpOverrides;
using IPNetwork = System.Net.IPNetwork;

namespace Pulse.Ingress.Http;

static class ClientAddress
{
    /// <summary>
    /// Believes X-Forwarded-For and X-Forwarded-Proto as far as they were written by <paramref name="proxies"/>; with none of them, not at all.
    /// </summary>
    public static void UseClientAddress(this IApplicationBuilder app, IReadOnlyList<IPNetwork> proxies)
    {
        if (proxies.Count == 0)
            return;

        var options = new ForwardedHeadersOptions
        {
            ForwardedHeaders = ForwardedHeaders.XForwardedFor | ForwardedHeaders.XForwardedProto,
            // Through every trusted hop: the client is the rightmost address that is not one of them.
            ForwardLimit = null,
        };
        options.KnownProxies.Clear();
        options.KnownIPNetworks.Clear();
        foreach (var network in proxies)
            options.KnownIPNetworks.Add(network);

        app.UseForwardedHeaders(options);
    }

    /// <summary>What a limit per client counts by: an IPv4 address, or the /64 of an IPv6 one, which is what one customer line is given.</summary>
    public static string ForLimits(IPAddress? address)
    {
        if (address is null)
            return "unknown";

        if (address.IsIPv4MappedToIPv6)
            return address.MapToIPv4().ToString();

        if (address.AddressFamily != AddressFamily.InterNetworkV6)
            return address.ToString();

        var bytes = address.GetAddressBytes();
        bytes.AsSpan(8).Clear();
        return $"{new IPAddress(bytes)}/64";
    }
}

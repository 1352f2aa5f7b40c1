using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Pulse.Tests.Http;

/// <summary>A request as bytes, on a connection of its own: an HTTP client would put right what is to be wrong.</summary>
sealed record RandomRequest(string Method, string Target, IReadOnlyList<(string Name, string Value)> Headers, byte[] Body)
{
    /// <summary>What it is an attempt at.</summary>
    public (string Method, string Template) Route { get; init; }

    /// <summary>The server is told of more than it gets.</summary>
    public bool BreaksOff { get; init; }

    /// <summary>Sends it, and reads what comes back.</summary>
    /// <returns>Status and body; status 0 when nothing came: the server may hang up on what breaks off, or is too large to be read.</returns>
    public async Task<(int Status, string Text)> SendAsync(Uri server, CancellationToken cancellationToken)
    {
        using var client = new TcpClient { NoDelay = true };
        await client.ConnectAsync(server.Host, server.Port, cancellationToken);
        var stream = client.GetStream();
        var sending = SendAsync(client, stream, cancellationToken);
        using var read = new MemoryStream();
        try
        {
            await stream.CopyToAsync(read, cancellationToken);
        }
        catch (IOException)
        {
            // Reset: it did not want to read all of it.
        }

        await sending;
        var text = Encoding.UTF8.GetString(read.ToArray());
        return (text.Length > 12 && int.TryParse(text.AsSpan(9, 3), NumberStyles.None, CultureInfo.InvariantCulture, out var status) ? status : 0, text);
    }

    async Task SendAsync(TcpClient client, NetworkStream stream, CancellationToken cancellationToken)
    {
        var head = new StringBuilder().Append(CultureInfo.InvariantCulture, $"{Method} {Target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        foreach (var (name, value) in Headers)
            head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        if (Body.Length > 0 || BreaksOff)
            head.Append(CultureInfo.InvariantCulture, $"Content-Length: {Body.Length + (BreaksOff ? 1 : 0)}\r\n");
        try
        {
            await stream.WriteAsync(Encoding.Latin1.GetBytes(head.Append("\r\n").ToString()), cancellationToken);
            await stream.WriteAsync(Body, cancellationToken);
            if (BreaksOff)
                client.Client.Shutdown(SocketShutdown.Send);
        }
        catch (IOException)
        {
            // It has answered already.
        }
    }

    public override string ToString()
    {
        var headers = string.Join("", Headers.Select(header => $"\n{header.Name}: {Short(header.Value)}"));
        return $"{Method} {Short(Target)}{headers}\n{Body.Length} bytes: {Convert.ToBase64String(Body.AsSpan(0, Math.Min(Body.Length, 300)))}";
    }

    static string Short(string text) => text.Length > 200 ? $"{text[..200]}… ({text.Length})" : text;
}

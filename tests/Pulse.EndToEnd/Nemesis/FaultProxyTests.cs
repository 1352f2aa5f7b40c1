using System.Net;
using System.Net.Sockets;
using System.Text;
using Pulse.Testing;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>The proxy does what it is told, or a run against it proves nothing.</summary>
public sealed class FaultProxyTests : IAsyncLifetime
{
    readonly TcpListener _server = new(IPAddress.Loopback, 0);
    FaultProxy _proxy = null!;
    Socket _client = null!;
    Socket _accepted = null!;

    public async Task InitializeAsync()
    {
        _server.Start();
        _proxy = new FaultProxy("127.0.0.1", ((IPEndPoint)_server.LocalEndpoint).Port);
        (_client, _accepted) = await ConnectAsync();
    }

    public async Task DisposeAsync()
    {
        _client.Dispose();
        _accepted.Dispose();
        await _proxy.DisposeAsync();
        _server.Stop();
    }

    async Task<(Socket, Socket)> ConnectAsync()
    {
        var client = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await client.ConnectAsync(IPAddress.Loopback, _proxy.Port);
        return (client, await _server.AcceptSocketAsync());
    }

    static async Task<string> ReadAsync(Socket socket, double seconds = 5)
    {
        var buffer = new byte[100];
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(seconds));
        return Encoding.ASCII.GetString(buffer, 0, await socket.ReceiveAsync(buffer.AsMemory(), patience.Token));
    }

    [Fact]
    public async Task Without_a_fault_all_gets_through_and_so_does_the_end()
    {
        await _client.SendAsync("there"u8.ToArray());
        Assert.Equal("there", await ReadAsync(_accepted));
        await _accepted.SendAsync("back"u8.ToArray());
        Assert.Equal("back", await ReadAsync(_client));
        _client.Shutdown(SocketShutdown.Send);
        Assert.Equal("", await ReadAsync(_accepted));
    }

    [Fact]
    public async Task Latency_is_late()
    {
        _proxy.Fault = Fault.Latency;
        _proxy.Lateness = TimeSpan.FromMilliseconds(300);
        await _client.SendAsync("there"u8.ToArray());
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ReadAsync(_accepted, seconds: 0.1));
        Assert.Equal("there", await ReadAsync(_accepted));
    }

    [Fact]
    public async Task A_reset_reaches_both_ends()
    {
        _proxy.Fault = Fault.Reset;
        await Assert.ThrowsAsync<SocketException>(() => ReadAsync(_client));
        await Assert.ThrowsAsync<SocketException>(() => ReadAsync(_accepted));

        using var next = new Socket(SocketType.Stream, ProtocolType.Tcp);
        // The reset may come as early as in the connect itself.
        await Assert.ThrowsAsync<SocketException>(async () =>
        {
            await next.ConnectAsync(IPAddress.Loopback, _proxy.Port);
            await ReadAsync(next);
        });
    }

    [Fact]
    public async Task Half_open_swallows_and_tells_neither_end_of_the_other_s_and_new_connections_heal_but_not_that_one()
    {
        _proxy.Fault = Fault.HalfOpen;
        await _client.SendAsync("lost"u8.ToArray());
        _proxy.Fault = Fault.None;
        await _client.SendAsync("lost, too"u8.ToArray());
        _client.Dispose();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ReadAsync(_accepted, seconds: 0.5));

        var (client, accepted) = await ConnectAsync();
        await client.SendAsync("there"u8.ToArray());
        Assert.Equal("there", await ReadAsync(accepted));
        client.Dispose();
        accepted.Dispose();
    }

    [Fact]
    public async Task A_trickle_is_a_byte_a_second_until_it_is_over()
    {
        _proxy.Fault = Fault.Trickle;
        await _client.SendAsync("slow"u8.ToArray());
        Assert.Equal("s", await ReadAsync(_accepted));
        Assert.Equal("l", await ReadAsync(_accepted));
        _proxy.Fault = Fault.None;
        Assert.Equal("ow", await ReadAsync(_accepted));
    }
}

using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;

namespace Pulse.Testing;

/// <summary>What a network does to those who trust it.</summary>
public enum Fault
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Every piece arrives late, by <see cref="FaultProxy.Lateness"/>.</summary>
    Latency,

    /// <summary>Every connection is reset, and every new one at once.</summary>
    Reset,

    /// <summary>
    /// What is sent is swallowed, and no end is told that the other has closed: as after a lost power line or a forgetful NAT. A connection
    /// that this happened to stays that way, also when the fault is over.
    /// </summary>
    HalfOpen,

    /// <summary>One byte a second.</summary>
    Trickle,
}

/// <summary>Stands between processes and one server, on a loopback port of its own, and does to their connections what it is told.</summary>
public sealed class FaultProxy : IAsyncDisposable
{
    readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    readonly ConcurrentDictionary<Link, Task> _links = [];
    readonly CancellationTokenSource _stop = new();
    readonly string _host;
    readonly int _port;
    readonly Task _accepting;
    volatile Fault _fault;

    /// <summary>Listens from now on.</summary>
    /// <param name="host">Where the server is.</param>
    /// <param name="port">Its port.</param>
    public FaultProxy(string host, int port)
    {
        _host = host;
        _port = port;
        _listener.Start();
        Port = ((IPEndPoint)_listener.LocalEndpoint).Port;
        _accepting = AcceptAsync();
    }

    /// <summary>Where it listens, on 127.0.0.1.</summary>
    public int Port { get; }

    /// <summary>By how much <see cref="Fault.Latency"/> is late.</summary>
    public TimeSpan Lateness { get; set; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The same address, by way of the proxy.</summary>
    public Uri Through(Uri address) => new UriBuilder(address) { Host = "127.0.0.1", Port = Port }.Uri;

    /// <summary>What happens from now on, to the connections that there are and to new ones.</summary>
    public Fault Fault
    {
        get => _fault;
        set
        {
            _fault = value;
            foreach (var link in _links.Keys)
            {
                if (value == Fault.Reset)
                    link.Reset();
                if (value == Fault.HalfOpen)
                    link.Lost = true;
            }
        }
    }

    async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            Socket client;
            try
            {
                client = await _listener.AcceptSocketAsync(_stop.Token);
            }
            catch (Exception exception) when (exception is OperationCanceledException or SocketException or ObjectDisposedException)
            {
                return;
            }

            var link = new Link(client) { Lost = _fault == Fault.HalfOpen };
            _links[link] = ServeAsync(link);
        }
    }

    async Task ServeAsync(Link link)
    {
        await Task.Yield();
        try
        {
            if (_fault != Fault.Reset)
            {
                await link.Server.ConnectAsync(_host, _port, _stop.Token);
                await Task.WhenAll(PumpAsync(link, link.Client, link.Server), PumpAsync(link, link.Server, link.Client));
            }
        }
        catch (Exception exception) when (exception is SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // One end has gone, or it was reset. The other is told so below, except in a half-open connection.
        }

        if (link.Lost)
        {
            // Neither end hears of it: the sockets are kept as long as the proxy lives.
            await Task.Delay(Timeout.Infinite, _stop.Token).ContinueWith(_ => { }, TaskScheduler.Default);
        }

        link.Reset();
        _links.TryRemove(link, out _);
    }

    async Task PumpAsync(Link link, Socket from, Socket to)
    {
        var buffer = new byte[16 * 1024];
        while (true)
        {
            int read;
            try
            {
                read = await from.ReceiveAsync(buffer.AsMemory(), _stop.Token);
            }
            catch (SocketException) when (link.Lost)
            {
                return;
            }

            if (read == 0)
            {
                if (!link.Lost)
                    to.Shutdown(SocketShutdown.Send);
                return;
            }

            if (!link.Lost)
                await SendAsync(link, to, buffer.AsMemory(0, read));
        }
    }

    async Task SendAsync(Link link, Socket to, ReadOnlyMemory<byte> piece)
    {
        if (_fault == Fault.Latency)
            await Task.Delay(Lateness, _stop.Token);

        while (_fault == Fault.Trickle && piece.Length > 1)
        {
            await WriteAsync(to, piece[..1]);
            piece = piece[1..];
            // Looks often, so that it ends with the fault.
            for (var i = 0; i < 20 && _fault == Fault.Trickle; i++)
                await Task.Delay(50, _stop.Token);
        }

        if (!link.Lost)
            await WriteAsync(to, piece);
    }

    async Task WriteAsync(Socket to, ReadOnlyMemory<byte> bytes)
    {
        while (bytes.Length > 0)
            bytes = bytes[await to.SendAsync(bytes, _stop.Token)..];
    }

    /// <summary>Resets every connection, half-open ones as well, and stops listening.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        _listener.Stop();
        await _accepting;
        await Task.WhenAll(_links.Values);
        _stop.Dispose();
    }

    sealed class Link(Socket client)
    {
        volatile bool _lost;

        public Socket Client { get; } = client;
        public Socket Server { get; } = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };

        public bool Lost
        {
            get => _lost;
            set => _lost = value;
        }

        public void Reset()
        {
            foreach (var socket in new[] { Client, Server })
            {
                try
                {
                    // Closing with nothing to linger for is RST.
                    socket.LingerState = new LingerOption(true, 0);
                }
                catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
                {
                    // Never connected, or already closed.
                }

                socket.Dispose();
            }
        }
    }
}

using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.CompilerServices;
using RabbitMQ.Client;

namespace Pulse.Messaging;

/// <summary>
/// A socket to the broker that is closed when nothing was heard on it for two heartbeats, from the connection's first moment on.
/// </summary>
/// <remarks>
/// RabbitMQ.Client watches heartbeats only once a connection is open. It waits without end for the first frame of a broker that accepts and then
/// says nothing (frozen, or gone behind a balancer), and MassTransit with it: the endpoint would not consume again before a restart.
/// </remarks>
sealed class BrokerSocket(Socket socket) : TcpClientAdapter(socket)
{
    /// <summary>The broker sends something at least every half of it.</summary>
    static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(10);

    static readonly TimeSpan Silence = 2 * Heartbeat;

    public static void Use(ConnectionFactory factory)
    {
        factory.RequestedHeartbeat = Heartbeat;
        factory.RequestedConnectionTimeout = TimeSpan.FromSeconds(5);
        factory.SocketFactory = family => new BrokerSocket(new Socket(family, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });
    }

    public override NetworkStream GetStream() => new HeardStream(Client!);

    sealed class HeardStream : NetworkStream
    {
        readonly Timer _watch;
        long _heardAt = Stopwatch.GetTimestamp();

        public HeardStream(Socket socket)
            : base(socket) =>
            _watch = new Timer(_ => Watch(), null, Silence / 8, Silence / 8);

        [AsyncMethodBuilder(typeof(PoolingAsyncValueTaskMethodBuilder<>))]
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var read = await base.ReadAsync(buffer, cancellationToken);
            Volatile.Write(ref _heardAt, Stopwatch.GetTimestamp());
            return read;
        }

        void Watch()
        {
            if (Stopwatch.GetElapsedTime(Volatile.Read(ref _heardAt)) < Silence)
                return;

            // The read that waits fails, and with it the connection, or the attempt at one.
            _watch.Dispose();
            Socket.Dispose();
        }

        protected override void Dispose(bool disposing)
        {
            _watch.Dispose();
            base.Dispose(disposing);
        }
    }
}

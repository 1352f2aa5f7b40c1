using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace Pulse.Messaging.Outbox;

/// <summary>The publishing side's connection to RabbitMQ, made when first needed and made anew when it was lost.</summary>
/// <remarks>Apart from MassTransit's: RabbitMQ stops reading from a connection that publishes too much, and consuming should go on then.</remarks>
sealed class BrokerConnection : IAsyncDisposable
{
    readonly ConnectionFactory _factory;
    readonly List<AmqpTcpEndpoint> _endpoints;
    readonly SemaphoreSlim _gate = new(1, 1);
    IConnection? _connection;

    /// <param name="nodes">Any one of them will do: user and vhost are those of the first, and the same on all.</param>
    /// <param name="name">What the broker's lists of connections call it.</param>
    public BrokerConnection(IReadOnlyList<Uri> nodes, string name)
    {
        _endpoints = Endpoints(nodes);
        _factory = new ConnectionFactory
        {
            Uri = nodes[0],
            ClientProvidedName = name,
            // Publishers open a new channel after any failure: a connection that heals behind them would only hide it.
            AutomaticRecoveryEnabled = false,
            TopologyRecoveryEnabled = false,
        };
        BrokerSocket.Use(_factory);
    }

    // The client's own reading of an address: its default port, and TLS for amqps.
    internal static List<AmqpTcpEndpoint> Endpoints(IEnumerable<Uri> nodes) => [.. nodes.Select(node => new ConnectionFactory { Uri = node }.Endpoint)];

    /// <summary>The open connection.</summary>
    /// <exception cref="BrokerUnavailableException">There is none to be had.</exception>
    public async Task<IConnection> GetAsync(CancellationToken cancellationToken)
    {
        if (_connection is { IsOpen: true } open)
            return open;

        await _gate.WaitAsync(cancellationToken);
        try
        {
            if (_connection is { IsOpen: true } reopened)
                return reopened;

            await CloseAsync();
            return _connection = await _factory.CreateConnectionAsync(_endpoints, cancellationToken);
        }
        catch (Exception exception) when (exception is BrokerUnreachableException or OperationInterruptedException or IOException)
        {
            throw new BrokerUnavailableException(exception.Message, exception);
        }
        finally
        {
            _gate.Release();
        }
    }

    /// <summary>Asks without declaring: who declares an exchange with other arguments than its owner's breaks the owner.</summary>
    public async Task<bool> ExchangeExistsAsync(string exchange, CancellationToken cancellationToken)
    {
        var open = await GetAsync(cancellationToken);
        await using var channel = await open.CreateChannelAsync(cancellationToken: cancellationToken);
        try
        {
            await channel.ExchangeDeclarePassiveAsync(exchange, cancellationToken);
            return true;
        }
        catch (OperationInterruptedException exception) when (exception.ShutdownReason?.ReplyCode == Constants.NotFound)
        {
            return false;
        }
    }

    /// <summary>Gives the connection up; the next caller gets a new one.</summary>
    public async Task DropAsync()
    {
        await _gate.WaitAsync();
        try
        {
            await CloseAsync();
        }
        finally
        {
            _gate.Release();
        }
    }

    async Task CloseAsync()
    {
        if (Interlocked.Exchange(ref _connection, null) is not { } connection)
            return;

        try
        {
            await connection.CloseAsync(Constants.ReplySuccess, "Goodbye", timeout: TimeSpan.FromSeconds(1), abort: true);
        }
        catch (Exception exception) when (exception is OperationInterruptedException or AlreadyClosedException or OperationCanceledException
            or ObjectDisposedException or IOException)
        {
            // It was already gone.
        }
    }

    public async ValueTask DisposeAsync()
    {
        await CloseAsync();
        _gate.Dispose();
    }
}

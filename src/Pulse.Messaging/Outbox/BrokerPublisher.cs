using System.Globalization;
using System.Text.Json;
using RabbitMQ.Client;
using RabbitMQ.Client.Exceptions;

namespace Pulse.Messaging.Outbox;

/// <summary>A message that the broker did not take, and why. Another try may do.</summary>
readonly record struct PublishFailure(Guid Id, string Error);

/// <summary>The broker can't be reached, or does not answer. No message is to blame.</summary>
sealed class BrokerUnavailableException(string message, Exception? cause = null) : Exception(message, cause)
{
    // The client's messages go on for pages.
    public string Reason => Message.Split('\n', 2)[0] is { Length: > 160 } line ? line[..160] + "…" : Message.Split('\n', 2)[0];
}

/// <summary>
/// Publishes outbox rows on one channel: persistent, mandatory, confirmed. Bodies go out as they were stored, without
/// being read again. For one caller at a time.
/// </summary>
sealed class BrokerPublisher(BrokerConnection connection, TimeSpan timeout, Mutant mutant) : IAsyncDisposable
{
    IChannel? _channel;
    readonly HashSet<string> _known = [];

    /// <summary>Publishes all of them at once and waits for every confirm.</summary>
    /// <returns>Those that the broker refused or could not route. All others are in a queue, on disk.</returns>
    /// <exception cref="BrokerUnavailableException">Nothing is known of any of them.</exception>
    public async Task<List<PublishFailure>> PublishAsync(IReadOnlyList<OutboxMessage> messages, CancellationToken cancellationToken)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(timeout);
        try
        {
            if (_channel is { IsOpen: false })
                await CloseAsync();

            var missing = await MissingExchangesAsync(messages, limit.Token);
            var channel = _channel ??= await OpenAsync(limit.Token);

            var failures = new List<PublishFailure>();
            var confirms = new List<(Guid Id, Task Confirm)>(messages.Count);
            foreach (var message in messages)
            {
                if (missing is not null && missing.Contains(message.Exchange))
                    failures.Add(new PublishFailure(message.Id, $"exchange '{message.Exchange}' does not exist"));
                else
                    confirms.Add((message.Id, channel.BasicPublishAsync(
                        message.Exchange, message.RoutingKey, mandatory: true, Properties(message), message.Body, limit.Token).AsTask()));
            }

            foreach (var (id, confirm) in confirms)
            {
                try
                {
                    await confirm;
                }
                catch (PublishException exception)
                {
                    failures.Add(new PublishFailure(id, exception.IsReturn ? "no queue is bound for it" : "the broker refused it"));
                }
            }

            return failures;
        }
        catch (Exception exception) when (exception is not BrokerUnavailableException)
        {
            await CloseAsync();
            cancellationToken.ThrowIfCancellationRequested();
            if (exception is not OperationCanceledException)
                throw new BrokerUnavailableException(exception.Message, exception);

            // A connection on which nothing is confirmed any more is no better for the next channel.
            await connection.DropAsync();
            throw new BrokerUnavailableException($"RabbitMQ did not confirm within {timeout.TotalSeconds:0} s", exception);
        }
    }

    async Task<IChannel> OpenAsync(CancellationToken cancellationToken)
    {
        _known.Clear();
        var open = await connection.GetAsync(cancellationToken);
        // No limiter of outstanding confirms: a batch is bounded by its caller.
        return await open.CreateChannelAsync(new CreateChannelOptions(
            publisherConfirmationsEnabled: true, publisherConfirmationTrackingEnabled: true, outstandingPublisherConfirmationsRateLimiter: null),
            cancellationToken);
    }

    // A publish to an exchange that isn't there closes the channel, and takes every other message in flight with it. So each
    // exchange is asked for once a channel, on a channel of its own.
    async Task<HashSet<string>?> MissingExchangesAsync(IReadOnlyList<OutboxMessage> messages, CancellationToken cancellationToken)
    {
        HashSet<string>? missing = null;
        foreach (var message in messages)
        {
            var exchange = message.Exchange;
            if (exchange.Length == 0 || _known.Contains(exchange) || missing?.Contains(exchange) == true)
                continue;

            _channel ??= await OpenAsync(cancellationToken);
            if (await connection.ExchangeExistsAsync(exchange, cancellationToken))
                _known.Add(exchange);
            else
                (missing ??= []).Add(exchange);
        }

        return missing;
    }

    BasicProperties Properties(OutboxMessage message)
    {
        var properties = new BasicProperties
        {
            Persistent = mutant.Persistent,
            MessageId = message.MessageId.ToString(),
            ContentType = message.ContentType,
        };

        if (message.ExpiresAt is { } expiresAt)
        {
            var left = Math.Max(1, (expiresAt - message.DueAt).TotalMilliseconds);
            properties.Expiration = left.ToString("F0", CultureInfo.InvariantCulture);
        }

        if (message.Headers is { } json)
        {
            properties.Headers = new Dictionary<string, object?>();
            using var headers = JsonDocument.Parse(json);
            foreach (var header in headers.RootElement.EnumerateObject())
            {
                properties.Headers[header.Name] = header.Value.ValueKind switch
                {
                    JsonValueKind.String => header.Value.GetString(),
                    JsonValueKind.Number => header.Value.TryGetInt64(out var whole) ? whole : header.Value.GetDouble(),
                    // As MassTransit's own transport writes it.
                    JsonValueKind.True => bool.TrueString,
                    _ => null,
                };
            }
        }

        return properties;
    }

    async Task CloseAsync()
    {
        if (Interlocked.Exchange(ref _channel, null) is not { } channel)
            return;

        // Politely, but not for long: what is dead does not answer.
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        try
        {
            await channel.CloseAsync(Constants.ReplySuccess, "Goodbye", abort: true, patience.Token);
        }
        catch (Exception exception) when (exception is OperationInterruptedException or AlreadyClosedException or OperationCanceledException
            or ObjectDisposedException or IOException)
        {
            // It was already gone.
        }
    }

    public async ValueTask DisposeAsync() => await CloseAsync();
}

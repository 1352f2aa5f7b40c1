using Npgsql;

namespace Pulse.Ingress.Operations;

/// <summary>
/// Requests that wait for an operation's end. One connection listens for all of them, and one query reads what has ended: a wait holds
/// nothing but memory.
/// </summary>
sealed partial class OperationWaits(NpgsqlDataSource dataSource, ListenAddress address, TimeProvider clock, ILogger<OperationWaits> log) : BackgroundService
{
    const string Channel = "pulse_operations";

    /// <summary>Who comes when so many wait is not kept waiting: 202 at once.</summary>
    public const int Most = 500;

    // What the listening misses, while its connection is lost, is found by asking.
    static readonly TimeSpan Poll = TimeSpan.FromSeconds(1);

    readonly Lock _gate = new();
    readonly Dictionary<Guid, Waited> _waited = [];
    readonly HashSet<Guid> _ended = [];
    readonly SemaphoreSlim _wake = new(0, 1);
    int _count;

    /// <summary>Begins to wait; dispose of it to stop.</summary>
    public Wait Begin(Guid operationId)
    {
        lock (_gate)
        {
            if (_count == Most)
                return new Wait(null, null, operationId);

            _count++;
            if (!_waited.TryGetValue(operationId, out var waited))
                _waited[operationId] = waited = new Waited();
            waited.Waiters++;
            if (_count == 1)
                Wake();
            return new Wait(this, waited, operationId);
        }
    }

    protected override Task ExecuteAsync(CancellationToken stoppingToken) => Task.WhenAll(ListenAsync(stoppingToken), ReadAsync(stoppingToken));

    async Task ListenAsync(CancellationToken stoppingToken)
    {
        var heard = true;
        while (true)
        {
            try
            {
                await using var connection = new NpgsqlConnection(address.ConnectionString);
                await connection.OpenAsync(stoppingToken);
                connection.Notification += (_, notification) => Heard(notification.Payload);
                await using (var listen = new NpgsqlCommand("listen " + Channel, connection))
                    await listen.ExecuteNonQueryAsync(stoppingToken);

                heard = true;
                while (true)
                    await connection.WaitAsync(stoppingToken);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                // Once an outage, not once a second of it.
                if (heard)
                    Deaf(log, exception.Message);
                heard = false;
                await Task.Delay(Poll, clock, stoppingToken);
            }
        }
    }

    async Task ReadAsync(CancellationToken stoppingToken)
    {
        while (true)
        {
            var woken = await _wake.WaitAsync(Idle ? Timeout.InfiniteTimeSpan : Poll, stoppingToken);
            var asked = Asked(all: !woken);
            if (asked.Length == 0)
                continue;

            try
            {
                foreach (var operation in await OperationTable.CompletedAsync(dataSource, asked, stoppingToken))
                    End(operation);
            }
            catch (Exception exception) when (exception is NpgsqlException or TimeoutException)
            {
                // The next poll asks for all of them again.
                NotRead(log, exception.Message);
            }
        }
    }

    bool Idle
    {
        get
        {
            lock (_gate)
                return _count == 0;
        }
    }

    Guid[] Asked(bool all)
    {
        lock (_gate)
        {
            var asked = all ? [.. _waited.Keys] : _ended.Where(_waited.ContainsKey).ToArray();
            _ended.Clear();
            return asked;
        }
    }

    void Heard(string payload)
    {
        if (!Guid.TryParse(payload, out var operationId))
            return;

        lock (_gate)
        {
            // Of another ingress.
            if (_waited.ContainsKey(operationId) && _ended.Add(operationId))
                Wake();
        }
    }

    void End(Operation operation)
    {
        lock (_gate)
        {
            if (_waited.TryGetValue(operation.OperationId, out var waited))
                waited.Ended.TrySetResult(operation);
        }
    }

    // Under the gate, or it could be released twice.
    void Wake()
    {
        if (_wake.CurrentCount == 0)
            _wake.Release();
    }

    void Leave(Guid operationId, Waited waited)
    {
        lock (_gate)
        {
            _count--;
            if (--waited.Waiters == 0)
                _waited.Remove(operationId);
        }
    }

    public override void Dispose()
    {
        base.Dispose();
        _wake.Dispose();
    }

    internal sealed class Waited
    {
        public TaskCompletionSource<Operation> Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public int Waiters { get; set; }
    }

    /// <summary>One request's waiting.</summary>
    internal sealed class Wait(OperationWaits? owner, Waited? waited, Guid operationId) : IDisposable
    {
        /// <summary>The operation at its end; null when it has none in time.</summary>
        public async Task<Operation?> EndAsync(TimeSpan patience, CancellationToken cancellationToken)
        {
            if (owner is null)
                return null;

            try
            {
                return await waited!.Ended.Task.WaitAsync(patience, owner.Clock, cancellationToken);
            }
            catch (TimeoutException)
            {
                return null;
            }
        }

        public void Dispose() => owner?.Leave(operationId, waited!);
    }

    TimeProvider Clock => clock;

    [LoggerMessage(Level = LogLevel.Warning, Message = "The ends of operations are not heard ({Reason}): they are asked for once a second meanwhile")]
    static partial void Deaf(ILogger logger, string reason);

    [LoggerMessage(Level = LogLevel.Debug, Message = "The ends of operations could not be read ({Reason})")]
    static partial void NotRead(ILogger logger, string reason);
}

/// <summary>The database again, for the one connection that is no pool's.</summary>
sealed record ListenAddress(string ConnectionString);

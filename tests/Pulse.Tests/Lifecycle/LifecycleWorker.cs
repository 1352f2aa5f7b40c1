using System.Collections.Concurrent;
using System.Text.Json;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Npgsql;
using Pulse.Contracts.Lifecycle;
using Pulse.Hosting;
using Pulse.Messaging;
using Pulse.Messaging.Inbox;
using Pulse.Messaging.Outbox;
using Pulse.Tests.Prometheus;
using Pulse.Worker.Billing;
using Pulse.Worker.Lifecycle;

namespace Pulse.Tests.Lifecycle;

/// <summary>How a delivery goes.</summary>
enum Fate
{
    Done,

    /// <summary>The process dies with everything written and nothing committed.</summary>
    DiesBeforeCommit,

    /// <summary>It dies before it acknowledges: the message comes again, under its id.</summary>
    DiesAfterCommit,
}

/// <summary>A message that waits, or a timer that is due.</summary>
sealed record Waiting(Guid Id, Guid MessageId, string Exchange, byte[] Body);

/// <summary>
/// One worker's lifecycle code. Messages go from the outbox straight to the handlers, each in a transaction with its inbox row, as the endpoint
/// does it. Other processes' answers are given at once: the platform has deprovisioned.
/// </summary>
sealed class LifecycleWorker : IAsyncDisposable
{
    static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    readonly NpgsqlDataSource _data;
    readonly TimeProvider _clock;
    readonly GroupCommit _group;
    readonly OutboxPublisher _publisher;
    readonly Metered _metered;
    readonly LifecycleCommands _commands;
    readonly Purge _purge;
    readonly DeletionSync _deletions;

    public LifecycleWorker(LifecycleBed bed, ReaperOptions options, TimeProvider clock)
    {
        Name = $"reaper-{Guid.NewGuid():N}";
        var address = PostgresAddress.Parse(bed.Postgres.WorkerAddress);
        address.ApplicationName = Name;
        address.Options = "-c synchronous_commit=off";
        address.MaxAutoPrepare = 64;
        address.AutoPrepareMinUsages = 2;
        address.NoResetOnClose = true;
        _data = NpgsqlDataSource.Create(address);
        _clock = clock;
        _group = new GroupCommit(_data);
        _publisher = new OutboxPublisher(clock, new OutboxBell(_data, NullLogger<OutboxBell>.Instance));
        _metered = new Metered(LifecycleSlice.Metrics, services => services.AddSingleton<ReaperReadings>().AddSingleton<PurgeMeter>().AddSingleton<LifecycleMeter>());
        _commands = new LifecycleCommands(_data, _publisher, options, clock, NullLogger<LifecycleCommands>.Instance);
        Reaper = new Reaper(_publisher, options, Meter, clock, NullLogger<Reaper>.Instance);
        _purge = new Purge(_publisher, options, Meter, clock, NullLogger<Purge>.Instance);
        Sweeper = new ReaperSweep(_data, Reaper, options, Readings, clock, NullLogger<ReaperSweep>.Instance);
        var billing = bed.Billing.Worker(clock);
        _deletions = new DeletionSync(_data, billing.Gateway, _publisher, new SyncOptions(), clock, NullLogger<DeletionSync>.Instance);
    }

    public string Name { get; }
    public Reaper Reaper { get; }
    public ReaperSweep Sweeper { get; }
    public ReaperReadings Readings => _metered.Services.GetRequiredService<ReaperReadings>();
    public PurgeMeter Meter => _metered.Services.GetRequiredService<PurgeMeter>();

    /// <summary>Its metrics, as Prometheus reads them.</summary>
    public Task<ExpositionPage> ScrapeAsync() => _metered.ScrapeAsync();

    /// <summary>Changes of status that were counted: <c>active→suspended</c>.</summary>
    public ConcurrentQueue<string> Moves { get; } = new();

    /// <summary>Whether the platform answers when it is asked to deprovision.</summary>
    public bool Deprovisions { get; set; } = true;

    public Task<Leave> SweepAsync() => Reaper.SweepAsync(_data, CancellationToken.None);

    const string WaitingSql = "select id, message_id, exchange, body from messaging.outbox where due_at <= $1 order by id";

    /// <summary>All that is due, the oldest first.</summary>
    public async Task<List<Waiting>> WaitingAsync()
    {
        await using var command = _data.CreateCommand(WaitingSql);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = _clock.GetUtcNow().UtcDateTime });
        return await ReadAsync(command);
    }

    // expires_at, which nothing here uses, is until when a claim counts, by the real clock: that of a worker that died ends.
    const string ClaimSql = """
        update messaging.outbox set expires_at = $2::timestamptz + interval '3 seconds'
        where id in (
            select id from messaging.outbox where relay_at <= $1 and (expires_at is null or expires_at < $2) order by relay_at limit 50 for update skip locked)
        returning id, message_id, exchange, body
        """;

    static async Task<List<Waiting>> ReadAsync(NpgsqlCommand command)
    {
        var waiting = new List<Waiting>();
        await using var row = await command.ExecuteReaderAsync();
        while (await row.ReadAsync())
            waiting.Add(new Waiting(row.GetGuid(0), row.GetGuid(1), row.GetString(2), row.GetFieldValue<byte[]>(3)));
        return waiting;
    }

    /// <summary>Brings everything that is due to its end.</summary>
    public async Task DrainAsync()
    {
        for (var round = 0; round < 1000; round++)
        {
            var waiting = await WaitingAsync();
            if (waiting.Count == 0)
                return;

            foreach (var one in waiting)
                await DeliverAsync(one);
        }

        throw new InvalidOperationException("It never comes to rest.");
    }

    /// <summary>Shares what is due with other workers that do the same: what one has claimed the others pass over.</summary>
    /// <returns>How many messages it has consumed; none when it saw nothing to claim.</returns>
    public async Task<int> ShareAsync()
    {
        List<Waiting> claimed;
        await using (var command = _data.CreateCommand(ClaimSql))
        {
            command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = _clock.GetUtcNow().UtcDateTime });
            command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = DateTime.UtcNow });
            claimed = await ReadAsync(command);
        }

        foreach (var one in claimed)
            await HandleAsync(one, Fate.Done);
        if (claimed.Count > 0)
        {
            await using var acknowledge = _data.CreateCommand("delete from messaging.outbox where id = any($1)");
            acknowledge.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. claimed.Select(one => one.Id)] });
            await acknowledge.ExecuteNonQueryAsync();
        }

        return claimed.Count;
    }

    /// <summary>Consumes one message, and takes it out of the outbox if it is acknowledged.</summary>
    /// <returns>False: it was consumed before.</returns>
    public async Task<bool> DeliverAsync(Waiting message, Fate fate = Fate.Done)
    {
        var first = await HandleAsync(message, fate);
        if (fate == Fate.Done)
        {
            await using var acknowledge = _data.CreateCommand("delete from messaging.outbox where id = $1");
            acknowledge.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = message.Id });
            await acknowledge.ExecuteNonQueryAsync();
        }

        return first;
    }

    async Task<bool> HandleAsync(Waiting message, Fate fate)
    {
        await using var transaction = new MessageTransaction(_data, _group, new InboxEntry(message.MessageId, "test", _clock.GetUtcNow().UtcDateTime));
        try
        {
            // Claims the inbox row before anything else, as every handler's first statement does.
            await transaction.OpenAsync();
            await HandleAsync(transaction, message);
        }
        catch (AlreadyConsumedException)
        {
            return false;
        }

        if (fate != Fate.DiesBeforeCommit)
            await transaction.CommitAsync(CancellationToken.None);
        return fate != Fate.DiesBeforeCommit;
    }

    Task HandleAsync(MessageTransaction transaction, Waiting message)
    {
        var name = message.Exchange.Split(':')[1];
        switch (name)
        {
            case nameof(SuspendOrganization): return _commands.DoAsync(transaction, Read<SuspendOrganization>(), default);
            case nameof(UnsuspendOrganization): return _commands.DoAsync(transaction, Read<UnsuspendOrganization>(), default);
            case nameof(SoftDeleteOrganization): return _commands.DoAsync(transaction, Read<SoftDeleteOrganization>(), default);
            case nameof(RestoreOrganization): return _commands.DoAsync(transaction, Read<RestoreOrganization>(), default);
            case nameof(PlaceLegalHold): return _commands.DoAsync(transaction, Read<PlaceLegalHold>(), default);
            case nameof(ReleaseLegalHold): return _commands.DoAsync(transaction, Read<ReleaseLegalHold>(), default);
            case nameof(RetentionEnded): return Reaper.BeginAsync(transaction, Read<RetentionEnded>(), default);
            case nameof(ConfirmPurges): return Reaper.ConfirmAsync(transaction, Read<ConfirmPurges>(), default);
            case nameof(ExportOrganization): return _purge.DoAsync(transaction, Read<ExportOrganization>(), default);
            case nameof(TenantDeprovisioned): return _purge.DoAsync(transaction, Read<TenantDeprovisioned>(), default);
            case nameof(DeleteOrganizationRows): return _purge.DoAsync(transaction, Read<DeleteOrganizationRows>(), default);
            case nameof(CertifyPurge): return _purge.DoAsync(transaction, Read<CertifyPurge>(), default);
            case nameof(CancelSubscriptions): return _deletions.DoAsync(transaction, Read<CancelSubscriptions>(), default);
            case nameof(ResumeSubscriptions): return _deletions.DoAsync(transaction, Read<ResumeSubscriptions>(), default);
            case nameof(DeprovisionTenant):
                var asked = Read<DeprovisionTenant>();
                if (Deprovisions)
                    transaction.Defer(_publisher.Publish(new TenantDeprovisioned { PurgeId = asked.PurgeId, OrgId = asked.OrgId }));
                return Task.CompletedTask;
            case nameof(OrganizationStatusChanged):
                var change = Read<OrganizationStatusChanged>();
                transaction.OnCommitted(() =>
                {
                    _metered.Services.GetRequiredService<LifecycleMeter>().Moved(change.FromStatus, change.ToStatus, change.ChangedAt - change.AcceptedAt);
                    Moves.Enqueue($"{change.FromStatus}→{change.ToStatus}");
                });
                return Task.CompletedTask;
            default:
                // Billing's own.
                return Task.CompletedTask;
        }

        T Read<T>() => JsonDocument.Parse(message.Body).RootElement.GetProperty("message").Deserialize<T>(Json)!;
    }

    public async ValueTask DisposeAsync()
    {
        await _data.DisposeAsync();
        await _metered.DisposeAsync();
    }
}

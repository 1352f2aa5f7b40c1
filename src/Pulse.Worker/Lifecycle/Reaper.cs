using System.Text.Json;
using Npgsql;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;
using Pulse.Worker.Operations;

namespace Pulse.Worker.Lifecycle;

/// <summary>Begins purges. Timer, sweep and confirmation all come here, and everything is asked again, under the organization's lock.</summary>
sealed partial class Reaper(OutboxPublisher publisher, ReaperOptions options, PurgeMeter meter, TimeProvider clock, ILogger<Reaper> log)
{
    /// <summary>A step that is on its way is driven on by the sweep after so long.</summary>
    public static readonly TimeSpan DrivenOnAfter = TimeSpan.FromMinutes(10);

    public const string Actor = "reaper";

    /// <summary>Begins one purge, if it may. If it may not, nothing is changed: the sweep asks again.</summary>
    public async Task BeginAsync(MessageTransaction transaction, RetentionEnded ended, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().Whole();
        var connection = await transaction.OpenAsync(cancellationToken);
        var view = await ReaperTable.LookAsync(connection, ended.OrgId, ended.DeletionId, now, options, cancellationToken);
        if (!ReaperRules.IsRight(now, clock, view.Database, options.ClockTolerance))
        {
            meter.Ended(transaction, PurgeMeter.StoppedClock);
            transaction.OnCommitted(() => WrongClock(log, now, view.Database));
            return;
        }

        if (view.Organization is not { } org || !MayPurge(org, ended.DeletionId, now))
            return;

        if (!view.Approved && options.HonoursBreaker)
        {
            var leave = ReaperRules.Judge(view.Due, view.Begun, ReaperRules.Limit(view.Organizations, options.Most, options.Share));
            if (leave == Leave.Stopped)
            {
                meter.Ended(transaction, PurgeMeter.StoppedBlastRadius);
                transaction.OnCommitted(() => TooMany(log, ended.OrgId));
            }

            if (leave != Leave.Granted)
                return;
        }

        ReaperTable.Begin(transaction, org, view.Approved, now, now + DrivenOnAfter);
        if (org.ExportWaived)
            transaction.Defer(publisher.Publish(new DeprovisionTenant { PurgeId = ended.DeletionId, OrgId = org.OrgId }));
        else
            transaction.Defer(publisher.Publish(new ExportOrganization { PurgeId = ended.DeletionId, OrgId = org.OrgId }));
        transaction.Defer(LifecycleTable.Audit(
            now, Actor, "purge_started", org.OrgId, LifecycleTable.ToJson(org), Describe(org, view.Approved, now), $"purge:{ended.DeletionId}"));
        transaction.OnCommitted(() =>
        {
            publisher.Committed();
            Begun(log, org.OrgId, ended.DeletionId);
        });
    }

    bool MayPurge(Organization org, Guid deletionId, DateTimeOffset now)
    {
        if (!options.LooksAgain)
            return org is { PurgeStartedAt: null, Status: "pending_deletion" };

        return org.DeletionId == deletionId && LifecycleRules.MayPurge(options.HonoursHolds ? org : org with { LegalHoldAt = null }, now);
    }

    static string Describe(Organization org, bool approved, DateTimeOffset now) =>
        JsonSerializer.Serialize(new { purge_started_at = now, export = !org.ExportWaived, confirmed = approved });

    /// <summary>An operator confirms what a dry run listed, if that is still the list.</summary>
    public async Task ConfirmAsync(MessageTransaction transaction, ConfirmPurges command, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().Whole();
        var operation = await OperationTable.TakeAsync(transaction, command.OperationId, cancellationToken);
        if (operation.IsCompleted)
            return;

        var said = JsonSerializer.Deserialize<LifecycleRequest>(operation.Request, LifecycleRequest.Json)?.Hash;
        var connection = await transaction.OpenAsync(cancellationToken);
        if (await ReaperTable.HashAsync(connection, now, cancellationToken) != said)
        {
            OperationTable.Refuse(transaction, operation.Id, new Refusal(409, "list_changed", "Other organizations are due than those that were listed. Look at a new dry run."), now);
            return;
        }

        var approved = await ReaperTable.ApproveAsync(connection, operation.Id, now, cancellationToken);
        var result = JsonSerializer.Serialize(new { hash = said, confirmed = approved.Count });
        OperationTable.Succeed(transaction, operation.Id, result, now);
        foreach (var one in approved)
            transaction.Defer(publisher.Publish(new RetentionEnded { OrgId = one.OrgId, DeletionId = one.DeletionId }));
        transaction.Defer(LifecycleTable.Audit(now, operation.Actor, "purges_confirmed", null, null, result, operation.Cause));
        transaction.OnCommitted(() =>
        {
            publisher.Committed();
            Confirmed(log, approved.Count, operation.Id);
        });
    }

    /// <summary>Finds what the timers missed, and purges that stand still.</summary>
    /// <returns>Whether purges may begin.</returns>
    public async Task<Leave> SweepAsync(NpgsqlDataSource dataSource, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().Whole();
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        var view = await ReaperTable.CountAsync(connection, now, options, cancellationToken);
        if (!ReaperRules.IsRight(now, clock, view.Database, options.ClockTolerance))
        {
            WrongClock(log, now, view.Database);
            return Leave.Stopped;
        }

        await using var batch = new NpgsqlBatch(connection, transaction);
        foreach (var command in await PurgeTable.DriveOnAsync(connection, publisher, now, now + TimeSpan.FromHours(1), cancellationToken))
            batch.BatchCommands.Add(command);
        var due = await ReaperTable.ApprovedAsync(connection, 1000, cancellationToken);
        var limit = ReaperRules.Limit(view.Organizations, options.Most, options.Share);
        var leave = options.HonoursBreaker ? ReaperRules.Judge(view.Due, view.Begun, limit) : Leave.Granted;
        if (leave == Leave.Stopped)
            Stopped(log, view.Due, limit);
        else
            due.AddRange(await ReaperTable.DueAsync(connection, now, (int)Math.Max(0, options.HonoursBreaker ? limit - view.Begun : 1000), cancellationToken));

        foreach (var one in due)
            batch.BatchCommands.Add(publisher.Publish(new RetentionEnded { OrgId = one.OrgId, DeletionId = one.DeletionId }));
        var messages = batch.BatchCommands.Count;
        batch.BatchCommands.Add(PurgeTable.ForgetStrays());
        batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
        if (messages > 0)
            publisher.Committed();
        return leave;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The purge of organization {OrgId} has begun (deletion {DeletionId}): nothing brings it back")]
    static partial void Begun(ILogger logger, Guid orgId, Guid deletionId);

    [LoggerMessage(Level = LogLevel.Critical, Message = "Nothing is purged: this worker's clock says {Now:u} and the database's {Database:u}. Put them right")]
    static partial void WrongClock(ILogger logger, DateTimeOffset now, DateTimeOffset database);

    [LoggerMessage(Level = LogLevel.Error, Message = "Organization {OrgId} is due and not purged: more are due than may be purged without an operator's confirmation")]
    static partial void TooMany(ILogger logger, Guid orgId);

    [LoggerMessage(Level = LogLevel.Error, Message = "Nothing unconfirmed is purged: {Due} organizations or more are due, and {Limit} may go without a confirmation. POST /api/admin/reaper/dry-run lists them")]
    static partial void Stopped(ILogger logger, long due, int limit);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} purges are confirmed by operation {OperationId}")]
    static partial void Confirmed(ILogger logger, int count, Guid operationId);
}

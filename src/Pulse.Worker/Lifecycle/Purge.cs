using System.Text.Json;
using Pulse.Contracts.Lifecycle;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.Lifecycle;

/// <summary>
/// The steps of a purge, each a message and a transaction of its own: export, deprovisioning outside of Pulse, rows, certificate. A step that
/// is repeated finds that the purge is further, and does nothing.
/// </summary>
/// <remarks>What can't go on says why in its row and comes again. Nothing is dead-lettered for a disk that is full or a Stripe that is away.</remarks>
sealed partial class Purge(OutboxPublisher publisher, ReaperOptions options, PurgeMeter meter, TimeProvider clock, ILogger<Purge> log)
{
    public async Task DoAsync(MessageTransaction transaction, ExportOrganization step, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().Whole();
        if (await PurgeTable.LockAsync(transaction, step.PurgeId, cancellationToken) is not { Step: "export" } purge)
            return;

        if (options.ExportDirectory is not { } directory)
        {
            Wait(transaction, purge, "export_dir_missing", now);
            return;
        }

        Exported exported;
        try
        {
            var connection = await transaction.OpenAsync(cancellationToken);
            exported = await ExportFile.WriteAsync(
                directory, purge.OrgId, purge.PurgeId, now, PurgeTable.ExportAsync(connection, purge.OrgId, cancellationToken), cancellationToken);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            NotExported(log, purge.OrgId, exception.Message);
            meter.Ended(transaction, PurgeMeter.ExportFailed);
            Wait(transaction, purge, "export_failed", now);
            return;
        }

        transaction.Defer(PurgeTable.Advance(purge.PurgeId, "deprovision", now + Reaper.DrivenOnAfter, exported));
        transaction.Defer(PurgeTable.Step(publisher, purge.PurgeId, purge.OrgId, "deprovision"));
        Audit(transaction, purge, "organization_exported", new { sha256 = Convert.ToHexStringLower(exported.Sha256), bytes = exported.Bytes }, now);
    }

    public async Task DoAsync(MessageTransaction transaction, TenantDeprovisioned answer, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().Whole();
        if (await PurgeTable.LockAsync(transaction, answer.PurgeId, cancellationToken) is not { Step: "deprovision" } purge)
            return;

        transaction.Defer(PurgeTable.Advance(purge.PurgeId, "rows", now + Reaper.DrivenOnAfter));
        transaction.Defer(PurgeTable.Step(publisher, purge.PurgeId, purge.OrgId, "rows"));
        Audit(transaction, purge, "tenant_deprovisioned", null, now);
    }

    public async Task DoAsync(MessageTransaction transaction, DeleteOrganizationRows step, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().Whole();
        if (await PurgeTable.LockAsync(transaction, step.PurgeId, cancellationToken) is not { Step: "rows" } purge)
            return;

        if (await PurgeTable.WaitsForAsync(transaction, purge, cancellationToken) is { } outside)
        {
            // It was told with the deletion. Told again it does no harm, and helps where that word was lost.
            transaction.Defer(publisher.Publish(new CancelSubscriptions { OrgId = purge.OrgId, DeletionId = purge.PurgeId }));
            Wait(transaction, purge, outside, now);
            return;
        }

        var deleted = await PurgeTable.DeleteAsync(await transaction.OpenAsync(cancellationToken), purge.OrgId, cancellationToken);
        transaction.Defer(PurgeTable.Advance(purge.PurgeId, "certify", now + Reaper.DrivenOnAfter, deleted: deleted));
        // The timer, if this was begun by something else.
        transaction.Defer(OutboxPublisher.Cancel(purge.PurgeId));
        transaction.Defer(PurgeTable.Step(publisher, purge.PurgeId, purge.OrgId, "certify"));
        Audit(transaction, purge, "organization_rows_deleted", JsonSerializer.Deserialize<JsonElement>(deleted.Counts), now);
    }

    /// <summary>Certifies every purge that waits for it with its own, as the look through the database costs the same for one and for many.</summary>
    public async Task DoAsync(MessageTransaction transaction, CertifyPurge step, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().Whole();
        switch (await PurgeTable.TurnAsync(transaction, step.PurgeId, cancellationToken))
        {
            case LookTurn.Served:
                return;
            case LookTurn.Others:
                // Whether that look has this one among its own, it alone knows; and whoever waited for it here would bring nobody else this far.
                transaction.Defer(publisher.Publish(new CertifyPurge { PurgeId = step.PurgeId }, now + ReaperRules.NextLook(Random.Shared.NextDouble())));
                transaction.OnCommitted(publisher.Committed);
                return;
        }

        var purges = await PurgeTable.CertifiableAsync(transaction, step.PurgeId, options.CertifiedTogether, cancellationToken);
        // Buried between the two statements.
        if (purges is not [var own, ..] || own.PurgeId != step.PurgeId)
            return;

        var (columns, found) = await PurgeTable.ResidueAsync(
            await transaction.OpenAsync(cancellationToken), [.. purges.Select(purge => purge.OrgId)], [.. purges.SelectMany(purge => purge.Emails).Distinct()], cancellationToken);
        var buried = new List<Certifiable>();
        foreach (var purge in purges)
        {
            var left = found.Where(residue => residue.Word == purge.OrgId.ToString() || purge.Emails.Contains(residue.Word)).ToList();
            if (left.Count == 0)
                buried.Add(purge);
            // Every other one has a message of its own on its way, and would have one more of each look.
            else if (purge.PurgeId == own.PurgeId)
                Remains(transaction, purge, left, now);
        }

        foreach (var purge in buried)
        {
            transaction.Defer(publisher.Publish(new OrganizationStatusChanged
            {
                OrgId = purge.OrgId,
                FromStatus = "pending_deletion",
                ToStatus = "purged",
                AcceptedAt = purge.StartedAt,
                ChangedAt = now,
            }));
            meter.Ended(transaction, PurgeMeter.Purged);
            transaction.OnCommitted(() => Purged(log, purge.OrgId, purge.PurgeId));
        }

        // Last, and in one order: they append to the audit log.
        foreach (var purge in buried)
            transaction.Defer(PurgeTable.Bury(purge, columns, Reaper.Actor, now));
        transaction.OnCommitted(publisher.Committed);
    }

    // A message that names it may still be on its way, so it is looked for again soon, and then less and less often.
    void Remains(MessageTransaction transaction, Certifiable purge, List<Residue> left, DateTimeOffset now)
    {
        var next = now + ReaperRules.Backoff(purge.Attempts);
        transaction.Defer(PurgeTable.Wait(purge.PurgeId, "residue", now, next + Reaper.DrivenOnAfter));
        transaction.Defer(PurgeTable.Step(publisher, purge.PurgeId, purge.OrgId, "certify", next));
        meter.Ended(transaction, PurgeMeter.Residue);
        var places = string.Join(", ", left.Select(residue => $"{residue.Place} ({residue.Found})").Distinct().Order());
        transaction.OnCommitted(() => Left(log, purge.OrgId, places, next));
    }

    void Wait(MessageTransaction transaction, PurgeState purge, string reason, DateTimeOffset now)
    {
        var next = now + ReaperRules.Backoff(purge.Attempts + 3);
        transaction.Defer(PurgeTable.Wait(purge.PurgeId, reason, now, next + Reaper.DrivenOnAfter));
        transaction.Defer(PurgeTable.Step(publisher, purge.PurgeId, purge.OrgId, purge.Step, next));
        transaction.OnCommitted(() =>
        {
            publisher.Committed();
            Waits(log, purge.OrgId, reason, next);
        });
    }

    void Audit(MessageTransaction transaction, PurgeState purge, string action, object? after, DateTimeOffset now)
    {
        transaction.Defer(LifecycleTable.Audit(now, Reaper.Actor, action, purge.OrgId, null, after is null ? null : JsonSerializer.Serialize(after), purge.Cause));
        transaction.OnCommitted(() =>
        {
            publisher.Committed();
            Did(log, purge.OrgId, action);
        });
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Purge of organization {OrgId}: {Step}")]
    static partial void Did(ILogger logger, Guid orgId, string step);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Organization {OrgId} is purged; its tombstone has purge {PurgeId}")]
    static partial void Purged(ILogger logger, Guid orgId, Guid purgeId);

    [LoggerMessage(Level = LogLevel.Error, Message = "The purge of organization {OrgId} waits ({Reason}) and is tried again at {Next:u}")]
    static partial void Waits(ILogger logger, Guid orgId, string reason, DateTimeOffset next);

    [LoggerMessage(Level = LogLevel.Error, Message = "Organization {OrgId} could not be exported: {Reason}")]
    static partial void NotExported(ILogger logger, Guid orgId, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Something of organization {OrgId} is left in {Places}; it is looked for again at {Next:u}")]
    static partial void Left(ILogger logger, Guid orgId, string places, DateTimeOffset next);
}

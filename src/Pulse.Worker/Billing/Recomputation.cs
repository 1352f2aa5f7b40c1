using Npgsql;
using Pulse.Catalog;
using Pulse.Messaging;
using Pulse.Messaging.Outbox;

namespace Pulse.Worker.Billing;

/// <summary>Computes claimed organizations again, a piece in a transaction, with the events of what changed.</summary>
/// <remarks>One that can't be computed is put aside for a minute, so that it holds up nobody else. For one caller at a time.</remarks>
sealed partial class Recomputation(NpgsqlDataSource dataSource, OutboxPublisher publisher, Plans plans, TimeProvider clock, ILogger<Recomputation> log)
{
    public delegate Task<List<Guid>> Claim(NpgsqlConnection connection, DateTimeOffset now, Guid[] except, int limit, CancellationToken cancellationToken);

    // The audit log is locked from the first change of a piece to its commit.
    const int Piece = 20;
    static readonly TimeSpan Aside = TimeSpan.FromMinutes(1);

    readonly Dictionary<Guid, DateTimeOffset> _aside = [];

    /// <summary>Piece after piece until nothing is left to claim.</summary>
    /// <returns>How many there were.</returns>
    public async Task<int> RunAsync(Claim claim, string actor, string cause, CancellationToken cancellationToken)
    {
        var done = 0;
        var most = Piece;
        while (true)
        {
            var claimed = new List<Guid>();
            try
            {
                await PieceAsync(claim, most, claimed, actor, cause, cancellationToken);
                done += claimed.Count;
                if (claimed.Count < most)
                    return done;
            }
            catch (Exception exception) when (exception is not OperationCanceledException && !PostgresFailure.IsUnavailable(exception))
            {
                // One by one, to see which one it is. Nothing of the piece was kept.
                if (claimed.Count == 0)
                    throw;
                if (claimed.Count == 1)
                {
                    _aside[claimed[0]] = clock.GetUtcNow() + Aside;
                    NotComputed(log, exception, claimed[0]);
                }

                most = 1;
            }
        }
    }

    async Task PieceAsync(Claim claim, int most, List<Guid> claimed, string actor, string cause, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        foreach (var id in _aside.Where(one => one.Value <= now).Select(one => one.Key).ToList())
            _aside.Remove(id);

        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(cancellationToken);
        claimed.AddRange(await claim(connection, now, [.. _aside.Keys], most, cancellationToken));
        if (claimed.Count == 0)
            return;

        var changed = new List<Entitlements>();
        foreach (var orgId in claimed)
        {
            if (await EntitlementTable.RecomputeAsync(connection, orgId, plans, now, verified: false, actor, cause, cancellationToken) is { Changed: true } entitlements)
                changed.Add(entitlements);
        }

        await using var batch = new NpgsqlBatch(connection);
        foreach (var entitlements in changed)
            batch.BatchCommands.Add(publisher.Publish(EntitlementsEvents.Changed(entitlements, now)));
        batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
        await batch.ExecuteNonQueryAsync(CancellationToken.None);
        if (changed.Count > 0)
            publisher.Committed();
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "The entitlements of {OrgId} could not be computed; the next try is in a minute")]
    static partial void NotComputed(ILogger logger, Exception exception, Guid orgId);
}

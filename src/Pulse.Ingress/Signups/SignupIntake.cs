using System.Security.Cryptography;
using Npgsql;
using Pulse.Contracts.Signups;
using Pulse.Messaging.Outbox;

namespace Pulse.Ingress.Signups;

/// <summary>Stores a valid signup: two round trips to Postgres and one commit, or nothing at all.</summary>
sealed class SignupIntake(NpgsqlDataSource dataSource, OutboxPublisher publisher, PasswordHashing hashing, SignupMetrics metrics, TimeProvider clock)
{
    /// <summary>Takes it in.</summary>
    /// <param name="signup">What was asked.</param>
    /// <param name="key">The caller's Idempotency-Key and the body's fingerprint under it, if there is one.</param>
    /// <param name="client">What the limit per address counts by.</param>
    /// <param name="cancellationToken">The caller has gone. It ends waiting, not a transaction that has begun.</param>
    public async Task<SignupOutcome> TakeAsync(ValidSignup signup, KeyedBody? key, string client, CancellationToken cancellationToken)
    {
        if (signup.Password is not { } password)
            return await StoreAsync(signup, null, key, client, cancellationToken);

        // A hash costs a tenth of a second of a core: not for who would be refused or has his answer.
        if (await LookAsync(key, client, cancellationToken) is { } known)
            return known;

        return await hashing.HashAsync(signup, password, cancellationToken) is { } hash
            ? await StoreAsync(signup, hash, key, client, cancellationToken)
            : new SignupOutcome.Busy();
    }

    async Task<SignupOutcome?> LookAsync(KeyedBody? key, string client, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow().UtcDateTime;
        await using var batch = dataSource.CreateBatch();
        if (key is not null)
            batch.BatchCommands.Add(SignupTable.Answered(key.Key));
        batch.BatchCommands.Add(SignupTable.Hits(SlidingWindow.PerClient, client, now));

        await using var reader = await batch.ExecuteReaderAsync(cancellationToken);
        if (key is not null && await AnsweredAsync(reader, key, cancellationToken) is { } answered)
            return answered;

        var state = SlidingWindow.PerClient.Before(await HitsAsync(reader, cancellationToken), now);
        return state.Refused ? new SignupOutcome.RateLimited(state) : null;
    }

    async Task<SignupOutcome> StoreAsync(ValidSignup signup, string? passwordHash, KeyedBody? key, string client, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        // From here on the caller's patience no longer counts: a cancelled statement costs Postgres a connection more, and
        // the command timeout bounds them all. Leaving without a commit rolls back, and with it the hits just recorded.
        await using var transaction = await connection.BeginTransactionAsync(CancellationToken.None);

        var (refusal, clientState, emailState) = await DecideAsync(connection, transaction, signup, key, client, now.UtcDateTime);
        if (refusal is not null)
            return refusal;

        var signupId = Guid.CreateVersion7(now);
        await using var batch = new NpgsqlBatch(connection, transaction);
        var effective = !emailState.Refused;
        batch.BatchCommands.Add(effective
            ? SignupTable.Insert(signupId, signup, passwordHash, now.UtcDateTime)
            : SignupTable.InsertWithoutEffect(signupId, now.UtcDateTime));
        if (key is not null)
            batch.BatchCommands.Add(SignupTable.Remember(key.Key, key.Fingerprint, signupId, now.UtcDateTime));
        if (effective)
            batch.BatchCommands.Add(publisher.Publish(new SignupRequested { SignupId = signupId, AcceptedAt = now }));
        // In the same round trip. A statement that fails before it takes it along: the batch stops there.
        batch.BatchCommands.Add(new NpgsqlBatchCommand("commit"));
        await batch.ExecuteNonQueryAsync(CancellationToken.None);

        if (effective)
        {
            publisher.Committed();
            metrics.Accepted();
        }

        return new SignupOutcome.Accepted(signupId, clientState);
    }

    // The order of the two hits is the same for everyone, so that nobody waits in a circle: the address first, then the email.
    static async Task<(SignupOutcome? Refusal, WindowState Client, WindowState Email)> DecideAsync(
        NpgsqlConnection connection, NpgsqlTransaction transaction, ValidSignup signup, KeyedBody? key, string client, DateTime now)
    {
        await using var batch = new NpgsqlBatch(connection, transaction);
        if (key is not null)
        {
            batch.BatchCommands.Add(SignupTable.TryLock(key.Key));
            batch.BatchCommands.Add(SignupTable.Answered(key.Key));
        }

        batch.BatchCommands.Add(SignupTable.Hit(SlidingWindow.PerClient, client, now));
        batch.BatchCommands.Add(SignupTable.Hit(SlidingWindow.PerEmail, signup.EmailNormalized, now));

        await using var reader = await batch.ExecuteReaderAsync(CancellationToken.None);
        if (key is not null)
        {
            await reader.ReadAsync(CancellationToken.None);
            var locked = reader.GetBoolean(0);
            await reader.NextResultAsync(CancellationToken.None);
            if (await AnsweredAsync(reader, key, CancellationToken.None) is { } answered)
                return (answered, default, default);
            if (!locked)
                return (new SignupOutcome.InFlight(), default, default);
        }

        var clientState = SlidingWindow.PerClient.AfterHit(await HitsAsync(reader, CancellationToken.None), now);
        if (clientState.Refused)
            return (new SignupOutcome.RateLimited(clientState), clientState, default);

        var emailState = SlidingWindow.PerEmail.AfterHit(await HitsAsync(reader, CancellationToken.None), now);
        return (null, clientState, emailState);
    }

    /// <summary>Reads the answer that a key already has, if any, and goes on to the next result.</summary>
    static async Task<SignupOutcome?> AnsweredAsync(NpgsqlDataReader reader, KeyedBody key, CancellationToken cancellationToken)
    {
        SignupOutcome? answered = null;
        if (await reader.ReadAsync(cancellationToken))
            answered = CryptographicOperations.FixedTimeEquals(reader.GetFieldValue<byte[]>(0), key.Fingerprint)
                ? new SignupOutcome.Repeated(reader.GetGuid(1))
                : new SignupOutcome.KeyReused();

        await reader.NextResultAsync(cancellationToken);
        return answered;
    }

    static async Task<DateTime[]> HitsAsync(NpgsqlDataReader reader, CancellationToken cancellationToken)
    {
        await reader.ReadAsync(cancellationToken);
        var hits = reader.GetFieldValue<DateTime[]>(0);
        await reader.NextResultAsync(cancellationToken);
        return hits;
    }
}

/// <summary>An Idempotency-Key and the fingerprint of the body that it came with.</summary>
sealed record KeyedBody(IdempotencyKey Key, byte[] Fingerprint);

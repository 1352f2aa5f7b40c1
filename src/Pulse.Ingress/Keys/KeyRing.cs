using System.Collections.Concurrent;
using System.Security.Cryptography;
using Npgsql;
using Pulse.Contracts.Keys;

namespace Pulse.Ingress.Keys;

/// <summary>Knows whose key it is. One query, and then none for <see cref="Remembered"/>: so long a revoked key may go on here.</summary>
sealed class KeyRing(NpgsqlDataSource dataSource, TimeProvider clock)
{
    public static readonly TimeSpan Remembered = TimeSpan.FromSeconds(3);

    static readonly byte[] Nobody = RandomNumberGenerator.GetBytes(SHA256.HashSizeInBytes);

    // Only keys whose secret was shown, so that nobody can fill it with ids: no more than there are keys.
    readonly ConcurrentDictionary<string, (KeyTable.Row Key, DateTimeOffset ReadAt)> _known = new();

    /// <summary>Who a key belongs to; null when it is none, or no longer one.</summary>
    public async ValueTask<Caller?> FindAsync(string token, CancellationToken cancellationToken)
    {
        if (!AccessKey.TryRead(token, out var id, out var secretHash))
            return null;

        var now = clock.GetUtcNow();
        if (_known.TryGetValue(id, out var known) && IsFresh(known.ReadAt, now))
            return Judge(id, secretHash, known.Key, now);

        var key = await KeyTable.FindAsync(dataSource, id, cancellationToken);
        var caller = Judge(id, secretHash, key, now);
        if (caller is not null)
            _known[id] = (key!, now);
        else
            // Not when somebody only guessed: its owner's is read again, and that is all.
            _known.TryRemove(id, out _);

        return caller;
    }

    /// <summary>What a key whose secret was shown before may do now; null when it is no longer one.</summary>
    public async ValueTask<Caller?> FindByIdAsync(string id, CancellationToken cancellationToken)
    {
        var now = clock.GetUtcNow();
        if (_known.TryGetValue(id, out var known) && IsFresh(known.ReadAt, now))
            return InForce(id, known.Key, now);

        var key = await KeyTable.FindAsync(dataSource, id, cancellationToken);
        if (InForce(id, key, now) is not { } caller)
        {
            _known.TryRemove(id, out _);
            return null;
        }

        _known[id] = (key!, now);
        return caller;
    }

    static Caller? Judge(string id, byte[] secretHash, KeyTable.Row? key, DateTimeOffset now)
    {
        // Compared with something in any case: an unknown id takes as long as a wrong secret.
        var same = CryptographicOperations.FixedTimeEquals(secretHash, key?.SecretHash ?? Nobody);
        return same ? InForce(id, key, now) : null;
    }

    static Caller? InForce(string id, KeyTable.Row? key, DateTimeOffset now) =>
        key is { RevokedAt: null } && !(key.ExpiresAt <= now.UtcDateTime) ? new Caller($"key:{id}", key.Scopes) : null;

    // A clock that was put back makes nothing fresh for longer.
    static bool IsFresh(DateTimeOffset readAt, DateTimeOffset now) => now >= readAt && now - readAt < Remembered;
}

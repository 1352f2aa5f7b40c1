using Npgsql;
using NpgsqlTypes;

namespace Pulse.Ingress.Signups;

/// <summary>The statements on signups, their idempotency keys and their limits. Times are parameters: the clock is the process's.</summary>
static class SignupTable
{
    public const string Probe = "select from pulse.signup_status_v1 limit 0";

    const string StatusSql = "select status, org_id from pulse.signup_status_v1 where signup_id = $1";

    public static async Task<SignupStatus?> StatusAsync(NpgsqlDataSource dataSource, Guid signupId, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(StatusSql);
        command.Parameters.Add(Value(signupId));
        await using var reader = await command.ExecuteReaderAsync(cancellationToken);
        return await reader.ReadAsync(cancellationToken)
            ? new SignupStatus(signupId, reader.GetString(0), reader.IsDBNull(1) ? null : reader.GetGuid(1))
            : null;
    }

    const string AnsweredSql = "select fingerprint, signup_id from pulse.idempotency_keys where key_hash = $1";

    public static NpgsqlBatchCommand Answered(IdempotencyKey key) => new(AnsweredSql) { Parameters = { Value(key.Hash) } };

    // Apart from the look at the key, and before it: a statement sees what was committed when it began, so a look in this
    // very statement could miss the row of the request that just gave the lock back.
    const string LockSql = "select pg_try_advisory_xact_lock($1)";

    public static NpgsqlBatchCommand TryLock(IdempotencyKey key) => new(LockSql) { Parameters = { Value(key.Lock) } };

    // Hits from a future farther off than the window are from a clock that was moved and put back.
    const string HitsSql = """
        select array(
            select hit from pulse.throttles, unnest(hits[:$4]) hit
            where key_hash = $1 and hit > $2 - $3 and hit < $2 + $3
            order by hit)
        """;

    /// <summary>The hits that count now.</summary>
    public static NpgsqlBatchCommand Hits(SlidingWindow window, string subject, DateTime now) => OnWindow(HitsSql, window, subject, now);

    // Decides and records at once, under the row's lock. The hit goes behind those that still count; when these are as
    // many as the quota it stands in one place more, which is how it is told that it was refused, and the slice here and
    // above leaves that place out again.
    const string HitSql = """
        insert into pulse.throttles as known (key_hash, hits, expires_at)
        values ($1, array[$2], $2 + $3)
        on conflict (key_hash) do update set
            hits = array(
                select hit from unnest(known.hits[:$4]) hit
                where hit > $2 - $3 and hit < $2 + $3
                order by hit) || $2,
            expires_at = excluded.expires_at
        returning hits
        """;

    /// <summary>Records a hit and returns all that count, for <see cref="SlidingWindow.AfterHit"/>.</summary>
    public static NpgsqlBatchCommand Hit(SlidingWindow window, string subject, DateTime now) => OnWindow(HitSql, window, subject, now);

    static NpgsqlBatchCommand OnWindow(string sql, SlidingWindow window, string subject, DateTime now) => new(sql)
    {
        Parameters = { Value(window.KeyHash(subject)), Value(now), Value(window.Length), Value(window.Quota) },
    };

    // Two spellings of one letter are one address: normalize() makes them so.
    const string InsertSql = """
        insert into pulse.signups
            (signup_id, email, email_normalized, org_name, password_hash, status, accepted_at, updated_at)
        values ($1, $2, normalize($3, nfc), $4, $5, $6, $7, $7)
        """;

    public static NpgsqlBatchCommand Insert(Guid signupId, ValidSignup signup, string? passwordHash, DateTime now) => new(InsertSql)
    {
        Parameters =
        {
            Value(signupId), Text(signup.Email), Text(signup.EmailNormalized), Text(signup.OrgName), Text(passwordHash), Text("accepted"), Value(now),
        },
    };

    /// <summary>A signup that ended as it began, without effect: nothing of the person is kept.</summary>
    public static NpgsqlBatchCommand InsertWithoutEffect(Guid signupId, DateTime now) => new(InsertSql)
    {
        Parameters = { Value(signupId), Text(null), Text(null), Text(null), Text(null), Text("existing"), Value(now) },
    };

    const string RememberSql = """
        insert into pulse.idempotency_keys (key_hash, fingerprint, signup_id, created_at) values ($1, $2, $3, $4)
        """;

    public static NpgsqlBatchCommand Remember(IdempotencyKey key, byte[] fingerprint, Guid signupId, DateTime now) => new(RememberSql)
    {
        Parameters = { Value(key.Hash), Value(fingerprint), Value(signupId), Value(now) },
    };

    static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };

    static NpgsqlParameter<string?> Text(string? value) => new() { TypedValue = value, NpgsqlDbType = NpgsqlDbType.Text };
}

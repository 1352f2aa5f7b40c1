using Npgsql;

namespace Pulse.Worker.Billing.Stripe;

/// <summary>One bucket of tokens for all workers. A token is one request to each of Stripe's endpoints, as Stripe's cap is one for each.</summary>
sealed class RequestRate(NpgsqlDataSource dataSource, StripeOptions options, TimeProvider clock)
{
    // So many at once that these and a second's worth stay below Stripe's cap.
    static readonly TimeSpan Burst = TimeSpan.FromSeconds(0.5);

    // next_at is when a token is free; it lies at most a burst behind and a turn ahead. Further ahead it is from a clock that was moved,
    // and is not believed, or nothing would be asked until then.
    const string TakeSql = """
        update pulse.stripe_rate
        set next_at = greatest(case when next_at > $1::timestamptz + 2 * $3::interval then '-infinity' else next_at end, $1::timestamptz - $4::interval) + $2::interval
        where next_at <= $1::timestamptz + $3::interval or next_at > $1::timestamptz + 2 * $3::interval
        returning extract(epoch from next_at - $2::interval - $1::timestamptz)::float8
        """;

    /// <returns>How long to wait before the request; null when that is longer than a turn may take: then none was taken.</returns>
    public async Task<TimeSpan?> TakeAsync(CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(TakeSql);
        command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = clock.GetUtcNow().UtcDateTime });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = TimeSpan.FromSeconds(1.0 / options.RatePerSecond) });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = options.LongestTurn });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = Burst });
        return await command.ExecuteScalarAsync(cancellationToken) is double wait ? TimeSpan.FromSeconds(Math.Max(0, wait)) : null;
    }

    /// <summary>How long to let it be when there was no token.</summary>
    /// <param name="behind">How many wait for one.</param>
    /// <param name="chance">0 to 1.</param>
    public TimeSpan NextTurn(long behind, double chance) => SyncRules.NextTurn(behind, options.RatePerSecond, chance, options.LongestTurn);

    /// <summary>Takes a token and waits for it.</summary>
    /// <returns>False: it was too far away, and none was taken.</returns>
    public async Task<bool> WaitAsync(CancellationToken cancellationToken)
    {
        if (await TakeAsync(cancellationToken) is not { } wait)
            return false;

        if (wait > TimeSpan.Zero)
            await Task.Delay(wait, clock, cancellationToken);
        return true;
    }
}

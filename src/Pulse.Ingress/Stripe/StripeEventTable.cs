using Npgsql;
using NpgsqlTypes;

namespace Pulse.Ingress.Stripe;

/// <summary>The statements on <c>pulse.stripe_events</c>.</summary>
static class StripeEventTable
{
    // unnest: one statement text for any number of events, so it is prepared once. They come sorted by id: two groups with the
    // same events wait for each other in one order, and never in a circle.
    const string InsertSql = """
        insert into pulse.stripe_events (event_id, effect_id, type, livemode, api_version, created_at, body, received_at)
        select given.*, $8 from unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::timestamptz[], $7::bytea[]) as given
        on conflict (event_id) do nothing
        returning event_id
        """;

    /// <summary>Stores events that are sorted by id and have one each. Returns the ids of those that were not there.</summary>
    public static NpgsqlBatchCommand Insert(IReadOnlyList<StripeEvent> events, DateTime now) => new(InsertSql)
    {
        Parameters =
        {
            Array(events, NpgsqlDbType.Text, one => one.Id),
            Array(events, NpgsqlDbType.Text, one => one.EffectId),
            Array(events, NpgsqlDbType.Text, one => one.Type),
            Array(events, NpgsqlDbType.Boolean, one => one.Livemode),
            Array(events, NpgsqlDbType.Text, one => one.ApiVersion),
            Array(events, NpgsqlDbType.TimestampTz, one => one.CreatedAt),
            Array(events, NpgsqlDbType.Bytea, one => one.Body),
            new NpgsqlParameter<DateTime> { TypedValue = now },
        },
    };

    /// <summary>For <see cref="Pulse.Messaging.Outbox.OutboxPublisher"/>: whether an event needs no message any more.</summary>
    /// <remarks>
    /// Row by row, by the primary key. A join, or the ids as one array, would be planned as a scan of the whole table while that is small,
    /// and the plan is kept when it has grown.
    /// </remarks>
    public const string CompletedSql = "select status in ('applied', 'ignored') from pulse.stripe_events where event_id = given.key";

    static NpgsqlParameter<T[]> Array<T>(IReadOnlyList<StripeEvent> events, NpgsqlDbType type, Func<StripeEvent, T> value)
    {
        var values = new T[events.Count];
        for (var i = 0; i < values.Length; i++)
            values[i] = value(events[i]);

        return new NpgsqlParameter<T[]> { TypedValue = values, NpgsqlDbType = NpgsqlDbType.Array | type };
    }
}

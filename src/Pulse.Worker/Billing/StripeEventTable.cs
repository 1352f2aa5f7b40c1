using Npgsql;
using Pulse.Worker.Billing.Stripe;

namespace Pulse.Worker.Billing;

/// <summary>An event of the inbox.</summary>
sealed record InboxEvent(string EventId, string EffectId, string Type, bool? Livemode, byte[] Body, string Status, string? Suspect, int Attempts)
{
    public bool IsCompleted => Status is "applied" or "ignored";
}

/// <summary>The statements on <c>pulse.stripe_events</c>.</summary>
static class StripeEventTable
{
    // What the customer is suspected of, should it turn out to differ: that its event had not come, unless it may still have been on
    // its way, or that it came and was not handled.
    const string ReadSql = """
        select effect_id, type, livemode, body, status,
            case when source = 'reconciliation' and (created_at is null or created_at <= received_at - $2::interval) then 'webhook_missing'
                 when redriven_at is not null then 'handler_failed' end,
            attempts
        from pulse.stripe_events where event_id = $1
        """;

    /// <summary>An event; null when there is none.</summary>
    public static async Task<InboxEvent?> ReadAsync(NpgsqlDataSource dataSource, string eventId, TimeSpan deliveryTakes, CancellationToken cancellationToken)
    {
        await using var command = dataSource.CreateCommand(ReadSql);
        command.Parameters.Add(new NpgsqlParameter<string> { TypedValue = eventId });
        command.Parameters.Add(new NpgsqlParameter<TimeSpan> { TypedValue = deliveryTakes });
        await using var row = await command.ExecuteReaderAsync(cancellationToken);
        return await row.ReadAsync(cancellationToken)
            ? new InboxEvent(eventId, row.GetString(0), row.GetString(1), row.IsDBNull(2) ? null : row.GetBoolean(2), row.GetFieldValue<byte[]>(3),
                row.GetString(4), row.IsDBNull(5) ? null : row.GetString(5), row.GetInt32(6))
            : null;
    }

    // The customer's row first, then the event's: as a sync locks them.
    const string LockCustomerSql = """
        insert into pulse.stripe_customers (customer_id, created_at) values ($1, $2)
        on conflict (customer_id) do update set dirty = stripe_customers.dirty
        """;

    // A twin that is under way or done is the same change of Stripe's: it needs no fetch of its own, and has this one's mark. A statement
    // of its own behind the lock, or it could not see a twin that was handled at the same time. A webhook takes back a suspicion.
    const string MarkSql = """
        with twin as (
            select mark, status from pulse.stripe_events
            where (event_id = $3 or effect_id = $3 and effect_id <> event_id) and event_id <> $2 and customer_id = $1 and status in ('pending', 'applied')
            limit 1),
        marked as (
            update pulse.stripe_customers set dirty = dirty + 1, dirty_at = $4, suspect = $5
            where customer_id = $1 and not exists (select from twin)
            returning dirty)
        update pulse.stripe_events
        set customer_id = $1, mark = coalesce((select mark from twin), (select dirty from marked)), next_at = null,
            status = coalesce((select status from twin), 'pending'), completed_at = (select $4::timestamptz from twin where status = 'applied')
        where event_id = $2 and status in ('received', 'pending', 'parked', 'quarantined')
        returning exists (select from twin)
        """;

    /// <summary>Marks the event's customer, and the event as seen by the next fetch of it.</summary>
    /// <returns>True: it has a twin that has done so.</returns>
    public static async Task<bool> MarkAsync(NpgsqlConnection connection, InboxEvent happened, string customerId, DateTimeOffset now, CancellationToken cancellationToken)
    {
        await using var batch = new NpgsqlBatch(connection)
        {
            BatchCommands =
            {
                new NpgsqlBatchCommand(LockCustomerSql)
                {
                    Parameters = { new NpgsqlParameter<string> { TypedValue = customerId }, new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime } },
                },
                new NpgsqlBatchCommand(MarkSql)
                {
                    Parameters =
                    {
                        new NpgsqlParameter<string> { TypedValue = customerId },
                        new NpgsqlParameter<string> { TypedValue = happened.EventId },
                        new NpgsqlParameter<string> { TypedValue = happened.EffectId },
                        new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
                        StripeCustomerTable.Text(happened.Suspect),
                    },
                },
            },
        };
        return await batch.ExecuteScalarAsync(cancellationToken) is true;
    }

    const string CompleteSql = """
        update pulse.stripe_events set status = $2, completed_at = $3, next_at = null where event_id = $1 and status not in ('applied', 'ignored')
        """;

    /// <summary>An event that needs no customer is done with.</summary>
    /// <param name="status">ignored; applied for one that marked those who have a price.</param>
    public static NpgsqlBatchCommand Complete(string eventId, string status, DateTimeOffset now) => new(CompleteSql)
    {
        Parameters =
        {
            new NpgsqlParameter<string> { TypedValue = eventId },
            new NpgsqlParameter<string> { TypedValue = status },
            new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
        },
    };

    const string PostponeSql = """
        update pulse.stripe_events set attempts = attempts + 1, next_at = $2 where event_id = $1 and status not in ('applied', 'ignored')
        """;

    /// <summary>Stripe could not say whose an event is.</summary>
    public static NpgsqlBatchCommand Postpone(string eventId, DateTimeOffset until) => new(PostponeSql)
    {
        Parameters = { new NpgsqlParameter<string> { TypedValue = eventId }, new NpgsqlParameter<DateTime> { TypedValue = until.UtcDateTime } },
    };

    const string InsertSql = """
        insert into pulse.stripe_events (event_id, effect_id, type, livemode, api_version, created_at, body, received_at, source)
        values ($1, $1, $2, $3, $4, $5, $6, $7, 'reconciliation')
        on conflict (event_id) do nothing
        returning event_id
        """;

    /// <summary>Puts an event of Stripe's list into the inbox; gives a row when it was not there.</summary>
    public static NpgsqlBatchCommand Insert(StripeEvent listed, DateTimeOffset now) => new(InsertSql)
    {
        Parameters =
        {
            new NpgsqlParameter<string> { TypedValue = listed.Id },
            new NpgsqlParameter<string> { TypedValue = listed.Type },
            new NpgsqlParameter { NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.Boolean, Value = (object?)listed.Livemode ?? DBNull.Value },
            StripeCustomerTable.Text(listed.ApiVersion),
            new NpgsqlParameter { NpgsqlDbType = NpgsqlTypes.NpgsqlDbType.TimestampTz, Value = (object?)listed.CreatedAt?.UtcDateTime ?? DBNull.Value },
            new NpgsqlParameter<byte[]> { TypedValue = listed.Body },
            new NpgsqlParameter<DateTime> { TypedValue = now.UtcDateTime },
        },
    };
}

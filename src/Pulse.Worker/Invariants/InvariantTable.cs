using System.Buffers.Binary;
using Npgsql;

namespace Pulse.Worker.Invariants;

/// <summary>
/// The invariants. Each is one statement, so that it sees one moment: what a transaction writes together is never seen in halves.
/// </summary>
/// <remarks>
/// Parameters: $1 the least id that counts (ids are UUIDs of version 7, an organization and its owner have the time of their
/// signup in theirs, so a span of time is a range of every primary key); $2 now; $3 signups accepted until then must have ended;
/// $4 messages due until then must be gone; $5 from then on every consumed message is in the inbox.
/// </remarks>
static class InvariantTable
{
    // Over the partial index of unfinished signups, so it is cheap without a range. The three states are the sweep's: what it does not
    // reach nobody drives on.
    const string UnfinishedSignups = """
        select signup_id::text from pulse.signups
        where status in ('accepted', 'awaiting_verification', 'provisioning') and accepted_at <= $3
        """;

    // Unique indexes stand in the way of most of it. This is for the day when one of them is missing, after a restore say: then
    // it is exactly a signup done twice that would be seen here.
    const string DuplicateTenants = """
        select u.user_id::text from pulse.users u
        where u.user_id >= $1 and (
            exists (select from pulse.users twin where twin.email_normalized = u.email_normalized and twin.user_id <> u.user_id)
            or (select count(*) from pulse.memberships m where m.user_id = u.user_id and m.role = 'owner') > 1
            or exists (
                select from pulse.memberships mine
                where mine.user_id = u.user_id and mine.role = 'owner' and (
                    (select count(*) from pulse.memberships m where m.org_id = mine.org_id and m.role = 'owner') > 1
                    or (select count(*) from pulse.billing_states b where b.org_id = mine.org_id) > 1)))
        """;

    // A tenant is written by one statement: half of one was never committed, and so was made by something else.
    const string OrphanOrganizations = """
        select o.org_id::text from pulse.organizations o
        where o.org_id >= $1 and not o.is_default and (
            not exists (select from pulse.memberships m where m.org_id = o.org_id and m.role = 'owner')
            or not exists (select from pulse.billing_states b where b.org_id = o.org_id))
        """;

    // Foreign keys say so, too, but not after a restore without them.
    const string OrphanParts = """
        select m.org_id::text from pulse.memberships m
        where m.org_id >= $1 and (
            not exists (select from pulse.organizations o where o.org_id = m.org_id)
            or not exists (select from pulse.users u where u.user_id = m.user_id))
        union all
        select b.org_id::text from pulse.billing_states b
        where b.org_id >= $1 and not exists (select from pulse.organizations o where o.org_id = b.org_id)
        """;

    // An email that is known blocks its owner's next signup: a user without a tenant could never get one.
    const string OrphanUsers = """
        select u.user_id::text from pulse.users u
        where u.user_id >= $1 and not exists (select from pulse.memberships m where m.user_id = u.user_id)
        """;

    // Both ways. Only a provisioned signup names an organization: an 'existing' one that did would tell a stranger whose email it is.
    // The range on signups in the last branch is for the plan: signups have no index on org_id.
    const string SignupsAndOrganizations = """
        select s.signup_id::text from pulse.signups s
        where s.signup_id >= $1 and s.status = 'provisioned'
          and (s.org_id is null or not exists (select from pulse.organizations o where o.org_id = s.org_id))
        union all
        select s.signup_id::text from pulse.signups s
        where s.signup_id >= $1 and s.status <> 'provisioned' and s.org_id is not null
        union all
        select o.org_id::text from pulse.organizations o
        where o.org_id >= $1 and not o.is_default
          and not exists (select from pulse.signups s where s.signup_id >= $1 and s.org_id = o.org_id and s.status = 'provisioned')
        """;

    // A failed signup keeps what it asked for, so that it can still be provisioned; the others have no use for it.
    const string PersonalData = """
        select signup_id::text from pulse.signups
        where signup_id >= $1 and status in ('provisioned', 'existing')
          and (email is not null or email_normalized is not null or org_name is not null or password_hash is not null)
        """;

    // Written by one transaction, so they agree at every moment. A signup over its email's limit ends as 'existing' without a saga.
    const string SagasAndSignups = """
        select g.correlation_id::text
        from messaging.sagas g left join pulse.signups s on s.signup_id = g.correlation_id
        where g.saga = 'provisioning' and g.correlation_id >= $1 and (
            s.signup_id is null
            or (g.body ->> 'orgId') is distinct from s.org_id::text
            or not case g.current_state
                when 'Provisioned' then s.status = 'provisioned'
                when 'Existing' then s.status = 'existing'
                when 'Failed' then s.status = 'failed'
                else s.status in ('accepted', 'awaiting_verification', 'provisioning') end)
        union all
        select s.signup_id::text from pulse.signups s
        where s.signup_id >= $1 and s.status in ('provisioned', 'failed')
          and not exists (select from messaging.sagas g where g.saga = 'provisioning' and g.correlation_id = s.signup_id)
        """;

    // What moves a saga on is the sweep, for as long as its signup is unfinished, or a timer: an outbox row whose token it remembers.
    const string StuckSagas = """
        select g.correlation_id::text from messaging.sagas g
        where g.saga = 'provisioning' and g.correlation_id >= $1
          and g.current_state not in ('Provisioned', 'Existing', 'Failed')
          and not exists (
              select from pulse.signups s
              where s.signup_id = g.correlation_id and s.status in ('accepted', 'awaiting_verification', 'provisioning'))
          and not exists (
              select from messaging.outbox o where o.token is not null and strpos(g.body::text, o.token::text) > 0)
        """;

    // By due_at, not relay_at: a message that is tried in vain again and again is put off each time, and is still not delivered.
    const string OutboxOverdue = """
        select id::text from messaging.outbox where due_at <= $4
        """;

    // A saga does not know its message's id. But the row of the message that made it was written by the same transaction a moment
    // before it, so up to any saga there are at least as many rows as sagas. The count is the largest shortfall; a sample
    // is the saga at which it grew.
    const string InboxMissing = """
        with moments as (
            select created_at as at, 1 as saga, 0 as consumed, correlation_id from messaging.sagas
            where saga = 'provisioning' and correlation_id >= $1 and created_at >= $5::timestamptz + interval '1 minute'
              and current_state in ('Provisioned', 'Existing')
            union all
            select consumed_at, 0, 1, null from messaging.inbox where consumer_id = 'provisioning' and consumed_at >= $5),
        short as (
            select correlation_id, sum(saga - consumed) over (order by at, saga rows unbounded preceding) as by from moments),
        grown as (
            select correlation_id, by, max(by) over (rows between unbounded preceding and 1 preceding) as before from short)
        select correlation_id::text from grown where by > 0 and by > coalesce(before, 0)
        """;

    // A row from the future would outlive its retention, and says that some clock was wrong.
    const string InboxFuture = """
        select message_id::text from messaging.inbox where consumed_at > $2::timestamptz + interval '1 minute'
        """;

    // A message of it may wait in a queue for a while, so only what is so for an hour counts; at rest, when now is also what is due, everything
    // does. What a person has to put right first has a problem, and is no violation.
    const string BillingBehind = """
        select customer_id from pulse.stripe_customers
        where dirty > synced and problem is null
          and coalesce(dirty_at, created_at) <= $4::timestamptz - case when $4 = $2 then interval '0' else interval '1 hour' end
          and not coalesce(lease_until > $2, false) and not coalesce(timer_at > $2, false)
        """;

    const string BillingCounts = """
        select customer_id from pulse.stripe_customers where synced > dirty
        """;

    // Settled by the transaction that stores the fetch, so they agree at every moment.
    const string BillingApplied = """
        select e.event_id from pulse.stripe_events e join pulse.stripe_customers c using (customer_id)
        where e.status = 'applied' and e.mark > c.synced
        union all
        select e.event_id from pulse.stripe_events e left join pulse.stripe_customers c using (customer_id)
        where e.status = 'pending' and (c.customer_id is null or e.mark is null or e.mark <= c.synced or e.mark > c.dirty)
        """;

    const string BillingParked = """
        select e.event_id from pulse.stripe_events e join pulse.stripe_customers c using (customer_id)
        where e.status in ('parked', 'quarantined') and c.org_id is not null
        """;

    const string BillingUnhandled = """
        select event_id from pulse.stripe_events
        where status = 'received' and received_at <= $4::timestamptz - case when $4 = $2 then interval '0' else interval '1 hour' end
          and not coalesce(next_at > $2, false)
        """;

    // Readers take the last segment that has begun: out of order, or with none, they would take a wrong one.
    const string Timelines = """
        select b.org_id::text from pulse.billing_states b
        where b.org_id >= $1 and b.timeline is not null and (
            jsonb_typeof(b.timeline) <> 'array' or b.timeline = '[]'
            or exists (
                select from (
                    select at, lag(at) over (order by number) as before
                    from jsonb_array_elements(case jsonb_typeof(b.timeline) when 'array' then b.timeline else '[]' end) with ordinality as segment (body, number),
                        lateral (select (body ->> 'from')::timestamptz as at) as begins) as pairs
                where at is null or at <= before))
        """;

    // The columns are what the first segment was when it was computed, and the index of the sweep is on the second one's beginning.
    const string CurrentBillingStates = """
        select b.org_id::text from pulse.billing_states b
        where b.org_id >= $1 and b.timeline is not null and (
            b.subscription_state is distinct from (b.timeline -> 0 ->> 'state')
            or b.plan_version is distinct from (b.timeline -> 0 ->> 'plan_version')
            or b.next_boundary_at is distinct from (b.timeline -> 1 ->> 'from')::timestamptz)
        union all
        select b.org_id::text from pulse.billing_states b
        where b.org_id >= $1 and b.timeline is null and (b.subscription_state <> 'trial' or b.next_boundary_at is distinct from b.trial_ends_at)
        """;

    // Over the index of boundaries, so it is cheap without a range. Readers know without the sweep; nobody else is told.
    const string BoundariesOverdue = """
        select org_id::text from pulse.billing_states where next_boundary_at <= $2::timestamptz - interval '1 minute'
        """;

    const string AccessWithoutRight = """
        select b.org_id::text from pulse.billing_states b
        where b.org_id >= $1 and jsonb_typeof(b.timeline) = 'array' and exists (
            select from jsonb_array_elements(b.timeline) segment
            where segment ->> 'state' not in ('trial', 'active', 'grace')
              and (segment -> 'capabilities' <> '[]' or segment -> 'meters_enabled' <> '[]'))
        """;

    // Foreign keys say so, too, but not after a restore without them.
    const string BillingOfNobody = """
        select c.org_id::text from pulse.stripe_customers c
        where c.org_id >= $1 and not exists (select from pulse.billing_states b where b.org_id = c.org_id)
        union
        select o.org_id::text from pulse.billing_overrides o
        where o.org_id >= $1 and not exists (select from pulse.billing_states b where b.org_id = o.org_id)
        """;

    // Its outbox row, or the note that it has gone, which comes within a second of it.
    const string DeadLettersQueued = """
        select d.dead_letter_id::text from pulse.dead_letters d
        where d.status = 'queued' and d.changed_at <= $4 and not exists (
            select from pulse.replay_items i join messaging.outbox o on o.id = i.outbox_id
            where i.dead_letter_id = d.dead_letter_id and i.active and i.state = 'queued')
        """;

    // What is on its way and in no replay nobody waits for, and no replay takes.
    const string DeadLettersUnderWay = """
        select d.dead_letter_id::text from pulse.dead_letters d
        where d.status in ('queued', 'replayed') and not exists (
            select from pulse.replay_items i where i.dead_letter_id = d.dead_letter_id and i.active)
        union all
        select i.dead_letter_id::text from pulse.replay_items i join pulse.replays r using (replay_id)
        where i.active and i.state = 'planned' and r.status not in ('canary', 'running', 'paused')
        """;

    // The counts of all letters, so without a range only; the failures of one letter at any time.
    const string DeadLettersCounted = """
        select c.fingerprint || ' ' || c.queue || ' ' || c.status
        from (select fingerprint, queue, status, count(*) as letters from pulse.dead_letters
              where $1 = '00000000-0000-0000-0000-000000000000'::uuid group by fingerprint, queue, status) as c
        full join (select * from pulse.dead_letter_counts_v1 where $1 = '00000000-0000-0000-0000-000000000000'::uuid) as n using (fingerprint, queue, status)
        where c.letters is distinct from n.letters
        union all
        select d.dead_letter_id::text from pulse.dead_letters d
        where d.dead_letter_id >= $1 and d.edited_from is null
          and d.occurrences <> (select count(*) from pulse.dead_letter_occurrences o where o.dead_letter_id = d.dead_letter_id)
        """;

    public static readonly IReadOnlyList<Invariant> All =
    [
        new("unfinished_signups", "every acknowledged signup has ended", UnfinishedSignups,
            "Is a worker running, is the queue provisioning being consumed, and what is in provisioning_error? The sweep drives them on, and gives them up in the end."),
        new("duplicate_tenants", "an email owns one organization, with one owner and one billing state", DuplicateTenants,
            "Compare the users' organizations and their signups; check that the unique indexes of pulse.users and the primary keys are there and valid (reindex)."),
        new("orphan_organizations", "every organization has an owner and a billing state", OrphanOrganizations,
            "Something other than Pulse wrote or deleted rows: compare with a backup."),
        new("orphan_parts", "every membership and billing state belongs to an organization and a user", OrphanParts,
            "Foreign keys are missing, after a restore perhaps: put them back once the rows are right."),
        new("orphan_users", "every user is a member of an organization", OrphanUsers,
            "Such an email can't sign up any more. Delete the user when nothing else refers to it; the person can sign up again."),
        new("signups_and_organizations", "a signup is provisioned exactly when its organization exists", SignupsAndOrganizations,
            "Something other than Pulse wrote or deleted rows: compare with a backup."),
        new("personal_data_kept", "a signup that has ended keeps no personal data", PersonalData,
            "Clear email, email_normalized, org_name and password_hash of these signups, and find what wrote them."),
        new("sagas_and_signups", "a provisioning saga's state is its signup's status", SagasAndSignups,
            "The signup is what the public sees: replaying its SignupRequested brings a missing saga to the same end."),
        new("stuck_sagas", "every unfinished saga will be driven on, by the sweep or by a timer", StuckSagas,
            "Nothing will ever move these sagas: find out how their signup ended, and what deleted their timer."),
        new("outbox_overdue", "what is due leaves the outbox", OutboxOverdue,
            "Is RabbitMQ reachable from a worker? messaging.outbox.last_error says what is wrong with a single message."),
        new("inbox_missing", "every signup's message is in the inbox of provisioning", InboxMissing,
            "Somebody pruned the inbox early: redelivered or replayed messages can do their work twice. Check the retention."),
        new("billing_behind", "every customer that changed at Stripe is on its way, by a message or a timer", BillingBehind,
            "Is the queue billing-sync being consumed, and what is in billing-sync_error? ./pulse billing reconcile brings every customer in step."),
        new("billing_counts", "no customer is further than what was marked", BillingCounts,
            "Something other than Pulse wrote pulse.stripe_customers: ./pulse billing reconcile."),
        new("billing_events_settled", "an event is applied exactly when a fetch that began after it is stored", BillingApplied,
            "Something other than Pulse wrote pulse.stripe_events or pulse.stripe_customers: ./pulse billing reconcile."),
        new("billing_parked", "only events of customers without an organization are parked or quarantined", BillingParked,
            "Send these events again from Stripe's dashboard, or ./pulse billing reconcile."),
        new("billing_unhandled", "every event that was stored is handled", BillingUnhandled,
            "Is the queue stripe-events being consumed, and what is in stripe-events_error? Reconciliation handles what is left."),
        new("inbox_future", "no message was consumed in the future", InboxFuture,
            "A worker's clock is, or was, ahead. In development: ./pulse clock was moved and reset."),
        new("timelines", "every timeline has a segment, and they are in order", Timelines,
            "Readers may answer wrongly for these organizations: set their timeline to null and next_boundary_at to the past; the sweep computes it again."),
        new("current_billing_states", "a billing state is the first segment of its timeline, and its next boundary the second", CurrentBillingStates,
            "Something other than Pulse wrote them. Set next_boundary_at to the past: the sweep computes them again."),
        new("boundaries_overdue", "what comes by itself is announced within a minute", BoundariesOverdue,
            "Is a worker running? Its log says which organization it can't compute. Readers go by the timeline meanwhile."),
        new("access_without_right", "an expired or suspended tenant can do nothing", AccessWithoutRight,
            "Set next_boundary_at of these organizations to the past: the sweep computes them again. Find what wrote it."),
        new("billing_of_nobody", "every linked customer and every override belongs to an organization with a billing state", BillingOfNobody,
            "Something other than Pulse wrote or deleted rows: compare with a backup."),
        new("dead_letters_queued", "a dead letter that is queued is in the outbox", DeadLettersQueued,
            "Is a worker running? Cancel the replay: its letters are free again, and a message that went out is absorbed by the inbox if it comes again."),
        new("dead_letters_under_way", "a dead letter is on its way exactly while a replay has it", DeadLettersUnderWay,
            "Set these letters to parked: a message that is still on its way is absorbed, or resolves them."),
        new("dead_letters_counted", "dead letters and their failures are counted right", DeadLettersCounted,
            "Something other than Pulse wrote these tables with triggers off: delete the counts and differences, and count the letters into dead_letter_counts."),
    ];

    const int Samples = 10;

    /// <summary>Looks at all of them, one after the other on one connection.</summary>
    public static async Task<IReadOnlyList<Finding>> CheckAsync(
        NpgsqlDataSource dataSource, InvariantScope scope, CancellationToken cancellationToken)
    {
        var now = scope.Now.UtcDateTime;
        var rememberedSince = scope.Now - scope.InboxKept;
        await using var connection = await dataSource.OpenConnectionAsync(cancellationToken);
        var findings = new List<Finding>(All.Count);
        foreach (var invariant in All)
        {
            await using var command = new NpgsqlCommand(
                $"select count(*), coalesce((array_agg(id order by id))[1:{Samples}], '{{}}') from ({invariant.Sql}) as broken (id)", connection);
            command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = scope.Since is { } since ? LeastId(since) : Guid.Empty });
            command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now });
            command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now - scope.UnfinishedAfter });
            command.Parameters.Add(new NpgsqlParameter<DateTime> { TypedValue = now - scope.OutboxAfter });
            command.Parameters.Add(new NpgsqlParameter<DateTime>
            {
                TypedValue = (scope.Since > rememberedSince ? scope.Since.Value : rememberedSince).UtcDateTime,
            });
            await using var row = await command.ExecuteReaderAsync(cancellationToken);
            await row.ReadAsync(cancellationToken);
            findings.Add(new Finding(invariant, row.GetInt64(0), row.GetFieldValue<string[]>(1)));
        }

        return findings;
    }

    /// <summary>The least UUID of version 7 of a millisecond: its 48 bits of time, and nothing.</summary>
    internal static Guid LeastId(DateTimeOffset at)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteInt64BigEndian(bytes, at.ToUnixTimeMilliseconds() << 16);
        return new Guid(bytes, bigEndian: true);
    }
}

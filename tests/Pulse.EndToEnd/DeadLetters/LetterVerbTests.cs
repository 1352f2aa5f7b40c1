using System.Text.Json;
using Pulse.Contracts.DeadLetters;
using Pulse.Testing;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>What operators do with letters themselves, and what previews say.</summary>
public sealed class LetterVerbTests : IAsyncLifetime
{
    static readonly StartRequest AtOnce = new() { RatePerSecond = 0, Canary = 0, StopOnFailureRatio = 1 };

    readonly LetterBed _bed = new();

    public Task InitializeAsync() => _bed.InitializeAsync();

    public Task DisposeAsync() => _bed.DisposeAsync();

    [Fact]
    public async Task What_is_discarded_is_not_replayed_until_it_is_restored()
    {
        await _bed.StartAsync();
        var chores = await _bed.BreakAsync(5);
        var ids = await _bed.Postgres.AskAsync<Guid[]>("select array_agg(dead_letter_id) from pulse.dead_letters");
        var nobody = Guid.CreateVersion7();
        var discarded = (await _bed.DiscardAsync(new SelectionRequest { Ids = [.. ids[..2], nobody], Reason = "of no use" })).As<SelectionResult>();
        Assert.Equal((2, "gone 1"), (discarded.Letters, string.Join(", ", discarded.Excluded.Select(part => $"{part.Why} {part.Letters}"))));
        await _bed.StatusesAsync("discarded 2, parked 3");

        var plan = (await _bed.PlanAsync(new PlanRequest { Ids = ids })).As<ReplayState>();
        Assert.Equal((3, "discarded 2"), (plan.Letters, string.Join(", ", plan.Plan.Excluded.Select(part => $"{part.Why} {part.Letters}"))));
        await _bed.CancelAsync(plan.ReplayId);

        var restored = (await _bed.RestoreAsync(new SelectionRequest { Filter = new DeadLetterFilter { Queue = "chores" }, Reason = "after all" })).As<SelectionResult>();
        Assert.Equal(2, restored.Letters);
        _bed.Mend();
        await _bed.StartReplayAsync((await _bed.PlanAllAsync()).ReplayId, AtOnce);
        await _bed.StatusesAsync("resolved 5");
        await _bed.OnceAsync(chores);
        Assert.Equal(
            "dead_letters_discarded by key:test, replay_planned by key:test, replay_cancelled by key:test, dead_letters_restored by key:test",
            string.Join(", ", (await _bed.AuditAsync()).Split(", ")[..4]));
    }

    [Fact]
    public async Task A_preview_tells_what_would_happen_and_does_none_of_it()
    {
        await _bed.StartAsync();
        await _bed.BreakAsync(6);
        var seen = 0;
        // Two of them would still fail.
        var bad = JsonSerializer.Deserialize<Guid[]>(await _bed.Postgres.AskAsync<string>(
            "select json_agg(id)::text from (select convert_from(body, 'UTF8')::jsonb -> 'message' ->> 'choreId' as id from pulse.dead_letters limit 2) as two"))!;
        _bed.Faults.Of = chore =>
        {
            Interlocked.Increment(ref seen);
            return bad.Contains(chore.ChoreId) ? new ChoreBrokenException("a secret: 4711") : null;
        };

        var plan = await _bed.PlanAllAsync();
        var before = await _bed.Postgres.AskAsync<long>("select count(*) from messaging.inbox where consumer_id = 'chores'");
        var preview = (await _bed.PreviewAsync(plan.ReplayId)).As<PreviewResult>();

        Assert.Equal("4 would create, 2 would still fail", preview.Summary);
        Assert.Equal((6, 6, 4, 2), (preview.Letters, preview.LookedAt, preview.WouldCreate, preview.WouldFail));
        var created = preview.Outcomes.First(outcome => outcome.Outcome == "would_create");
        Assert.Equal(1, created.Inserted!["bed.chores"]);
        Assert.Equal(1, created.Published!["Pulse.EndToEnd.DeadLetters:ChoreStored"]);
        var failing = preview.Outcomes.First(outcome => outcome.Outcome == "would_fail");
        Assert.Equal(typeof(ChoreBrokenException).FullName, failing.ExceptionType);
        Assert.Equal(6, seen);

        Assert.Equal((0L, before), (await _bed.EffectsAsync(), await _bed.Postgres.AskAsync<long>("select count(*) from messaging.inbox where consumer_id = 'chores'")));
        await _bed.StatusesAsync("parked 6");
        Assert.DoesNotContain("4711", await _bed.Postgres.AskAsync<string>("select string_agg(o::text, '') || (select string_agg(r::text, '') from pulse.replays r) from pulse.operations o"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_preview_is_bounded_and_says_what_it_can_not_tell()
    {
        await _bed.StartAsync();
        await _bed.BreakAsync(1);
        _bed.Mend();
        // Somebody holds what the consumer needs.
        await using var connection = await _bed.Postgres.Worker.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        await using (var hold = new Npgsql.NpgsqlCommand("lock table bed.chores in exclusive mode", connection, transaction))
            await hold.ExecuteNonQueryAsync();
        var plan = await _bed.PlanAllAsync();
        var preview = (await _bed.PreviewAsync(plan.ReplayId)).As<PreviewResult>();
        Assert.Equal(("cannot_tell", "busy"), (Assert.Single(preview.Outcomes).Outcome, preview.Outcomes[0].Why));
        await transaction.RollbackAsync();

        // A consumer that may do more than its transaction is not run; what no consumer takes neither.
        await _bed.RunAsync("update pulse.dead_letters set queue = 'chores-stored'");
        Assert.Equal("external_call", Assert.Single((await _bed.PreviewAsync(plan.ReplayId)).As<PreviewResult>().Outcomes).Why);
        await _bed.RunAsync("update pulse.dead_letters set queue = 'chores', body = 'nothing'");
        Assert.Equal("not_a_message", Assert.Single((await _bed.PreviewAsync(plan.ReplayId)).As<PreviewResult>().Outcomes).Why);
    }

    [Fact]
    public async Task A_saga_s_message_is_rehearsed_with_its_saga_and_its_rows()
    {
        await _bed.StartAsync(more: Worker.Provisioning.ProvisioningSlice.Add);
        var signup = Guid.CreateVersion7();
        await _bed.PublishAsync(new Contracts.Signups.SignupRequested { SignupId = signup, AcceptedAt = DateTimeOffset.UtcNow });
        await _bed.StatusesAsync("parked 1");
        var plan = (await _bed.PlanAsync(new PlanRequest { Filter = new DeadLetterFilter { Id = signup } })).As<ReplayState>();
        var failing = Assert.Single((await _bed.PreviewAsync(plan.ReplayId)).As<PreviewResult>().Outcomes);
        Assert.Equal(("would_fail", null, "Pulse.Worker.Provisioning.SignupMissingException"), (failing.Outcome, failing.Why, failing.ExceptionType));

        await _bed.RunAsync("""
            insert into pulse.signups (signup_id, email, email_normalized, org_name, status, accepted_at, updated_at)
            values ($1, 'a@example.org', 'a@example.org', 'A', 'accepted', now(), now())
            """, signup);
        var outcome = Assert.Single((await _bed.PreviewAsync(plan.ReplayId)).As<PreviewResult>().Outcomes);
        Assert.Equal("would_create", outcome.Outcome);
        Assert.Equal(
            "messaging.sagas 1, pulse.billing_states 1, pulse.memberships 1, pulse.organizations 1, pulse.users 1",
            string.Join(", ", outcome.Inserted!.OrderBy(table => table.Key, StringComparer.Ordinal).Select(table => $"{table.Key} {table.Value}")));
        Assert.Equal(1, outcome.Updated!["pulse.signups"]);
        Assert.Equal(1, outcome.Published!["Pulse.Contracts.Provisioning:TenantProvisioned"]);
        Assert.Equal(0L, await _bed.Postgres.AskAsync<long>("select count(*) + (select count(*) from messaging.sagas) from pulse.organizations where not is_default"));

        await _bed.StartReplayAsync(plan.ReplayId, AtOnce);
        await _bed.StatusesAsync("resolved 1");
        Assert.Equal(1L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.organizations where not is_default"));
    }

    [Fact]
    public async Task An_edited_copy_is_replayed_in_the_place_of_its_original_under_an_id_of_its_own()
    {
        await _bed.StartAsync();
        var chore = Assert.Single(await _bed.BreakAsync(1));
        _bed.Faults.Of = one => one.Note == "mended" ? null : new ChoreBrokenException("no note");
        var original = await _bed.Postgres.AskAsync<Guid>("select dead_letter_id from pulse.dead_letters");
        var same = await EditAsync(original, $$"""{"choreId":"{{chore}}","orgId":null,"note":null}""");
        Assert.Equal("unchanged", same.Code);
        var edited = (await EditAsync(original, $$"""{"choreId":"{{chore}}","orgId":null,"note":"mended"}""")).As<EditResult>();
        Assert.Equal(["/note"], edited.Changed);
        await _bed.StatusesAsync("discarded 1, parked 1");
        Assert.Equal("edited", Assert.Single((await _bed.RestoreAsync(new SelectionRequest { Ids = [original], Reason = "no" })).As<SelectionResult>().Excluded).Why);

        var plan = await _bed.PlanAllAsync();
        Assert.Equal("1 would create", (await _bed.PreviewAsync(plan.ReplayId)).As<PreviewResult>().Summary);
        await _bed.StartReplayAsync(plan.ReplayId, AtOnce);
        await _bed.StatusesAsync("discarded 1, resolved 1");
        await _bed.OnceAsync([chore]);
        Assert.Equal(1L, await _bed.Postgres.AskAsync<long>("select count(*) from messaging.inbox where message_id = $1", edited.MessageId));
        var audit = await _bed.Postgres.AskAsync<string>("select after::text from pulse.audit_log where action = 'dead_letter_edited'");
        Assert.Contains("/note", audit, StringComparison.Ordinal);
        Assert.DoesNotContain("mended", audit, StringComparison.Ordinal);
        Assert.Equal("[{\"path\": \"/note\", \"after\": \"mended\", \"before\": null}]", await _bed.Postgres.AskAsync<string>("select edit::text from pulse.dead_letters where edited_from = $1", original));
    }

    [Fact]
    public async Task Nothing_is_edited_unless_it_is_allowed()
    {
        await _bed.StartAsync(edit: false);
        await _bed.BreakAsync(1);
        var id = await _bed.Postgres.AskAsync<Guid>("select dead_letter_id from pulse.dead_letters");
        Assert.Equal("edit_disabled", (await EditAsync(id, "{}")).Code);
    }

    [Fact]
    public async Task To_reveal_a_letter_is_audited_before_anything_is_shown()
    {
        await _bed.StartAsync();
        var org = Guid.CreateVersion7();
        await _bed.BreakAsync(1, org: org);
        var id = await _bed.Postgres.AskAsync<Guid>("select dead_letter_id from pulse.dead_letters");
        var operation = await _bed.AskAsync(DeadLetterOperations.Reveal, new { }, one => new RevealDeadLetter { OperationId = one, DeadLetterId = id });
        Assert.Equal(id, (await _bed.OutcomeAsync(operation)).As<RevealResult>().DeadLetterId);
        Assert.Equal($"dead_letter_revealed key:test {org} operation:{operation}", await _bed.Postgres.AskAsync<string>(
            "select action || ' ' || actor || ' ' || org_id || ' ' || cause from pulse.audit_log where after ->> 'dead_letter_id' = $1", id.ToString()));
        var missing = await _bed.AskAsync(DeadLetterOperations.Reveal, new { }, one => new RevealDeadLetter { OperationId = one, DeadLetterId = Guid.CreateVersion7() });
        Assert.Equal("not_found", (await _bed.OutcomeAsync(missing)).Code);
    }

    [Fact]
    public async Task Retention_forgets_what_is_over_and_erasing_what_mentions_an_organization()
    {
        var node = await _bed.StartAsync();
        var org = Guid.CreateVersion7();
        await _bed.BreakAsync(2, org: org);
        await _bed.BreakAsync(1, why: $"of {org}");
        Assert.Equal(3L, await EraseAsync());

        // Behind more ids than are kept.
        _bed.Faults.Of = _ => new ChoreBrokenException("broken");
        await _bed.PublishAsync(new Chore { ChoreId = Guid.CreateVersion7(), Note = $"{string.Join(' ', Enumerable.Range(0, 70).Select(_ => Guid.NewGuid()))} {org}" });
        await Eventually.Until(async () => await _bed.LettersAsync() == 1, TimeSpan.FromSeconds(20), "it was collected");
        Assert.Equal(1L, await EraseAsync());

        // Named by its second failure only.
        await _bed.BreakAsync(1);
        _bed.Faults.Of = _ => new ChoreBrokenException($"now for {org}");
        var plan = await _bed.PlanAllAsync();
        await _bed.StartReplayAsync(plan.ReplayId, new StartRequest { RatePerSecond = 0, Canary = 0, StopOnFailureRatio = 1 });
        await _bed.ReplayIsAsync(plan.ReplayId, ReplayStatus.Completed);
        await _bed.BreakAsync(3);
        Assert.Equal(1L, await EraseAsync());
        Assert.Equal(0L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.dead_letter_occurrences o where strpos(o::text, $1) > 0", org.ToString()));
        Assert.Equal(0L, await _bed.Postgres.AskAsync<long>("select count(*) from pulse.dead_letters d where strpos(d::text || convert_from(d.body, 'UTF8'), $1) > 0", org.ToString()));

        await _bed.RunAsync("update pulse.dead_letters set status = 'resolved', changed_at = now() - interval '8 days' where dead_letter_id = (select min(dead_letter_id::text)::uuid from pulse.dead_letters)");
        await _bed.RunAsync("update pulse.dead_letters set changed_at = now() - interval '29 days' where status = 'parked'");
        var retention = node.Get<IEnumerable<Microsoft.Extensions.Hosting.IHostedService>>().OfType<Worker.DeadLetters.LetterRetention>().Single();
        Assert.Equal(1, await retention.PruneAsync(default));
        await _bed.RunAsync("update pulse.dead_letters set changed_at = now() - interval '31 days', last_failed_at = now() - interval '31 days'");
        await _bed.RunAsync("update pulse.dead_letter_groups set last_failed_at = now() - interval '31 days'");
        Assert.Equal(2, await retention.PruneAsync(default));
        Assert.Equal(0L, await _bed.Postgres.AskAsync<long>("select count(*) + (select count(*) from pulse.dead_letter_counts_v1) from pulse.dead_letter_groups"));

        Task<long> EraseAsync() => _bed.Postgres.AskAsync<long>("select pulse.erase_dead_letters($1)", org);
    }

    async Task<Outcome> EditAsync(Guid id, string message) => await _bed.OutcomeAsync(await _bed.AskAsync(
        DeadLetterOperations.Edit, new EditRequest { DeadLetterId = id, Message = JsonSerializer.Deserialize<JsonElement>(message), Reason = "a typo" },
        operation => new EditDeadLetter { OperationId = operation, DeadLetterId = id }));
}

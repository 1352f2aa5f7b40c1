using System.Security.Cryptography;
using Npgsql;
using NpgsqlTypes;
using Pulse.Worker.Audit;

namespace Pulse.Tests.Audit;

/// <summary>Whatever is done to the audit log but appending to it is found.</summary>
public sealed class AuditTests : IAsyncLifetime
{
    readonly TestPostgres _postgres = new();
    readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public Task InitializeAsync() => _postgres.InitializeAsync();

    public async Task DisposeAsync()
    {
        _key.Dispose();
        await _postgres.DisposeAsync();
    }

    [Fact]
    public async Task What_was_appended_holds_whatever_it_says()
    {
        await AppendAsync("key:a", "org.suspended", """{"reason":"ünïcödé ✓ \"quoted\" \\ \n"}""", after: "[1.50, 1e3, null]");
        await AppendAsync("", "", null, after: null);
        await AppendAsync("clock", "boundary", "{}", after: """{"b":1,"a":{"é":[]}}""");

        var verification = await VerifyAsync(await EntriesAsync(), []);

        Assert.Equal(3, verification.Entries);
        Assert.Empty(verification.Findings);
    }

    [Fact]
    public async Task An_empty_log_holds() => Assert.True((await VerifyAsync(await EntriesAsync(), [])).Holds);

    [Fact]
    public async Task Appends_at_the_same_time_form_one_chain_without_gaps()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async writer =>
        {
            for (var i = 0; i < 25; i++)
                await AppendAsync($"key:{writer}", "org.suspended", $"{i}", after: null);
        }));

        var verification = await VerifyAsync(await EntriesAsync(), []);
        Assert.Equal(200, verification.Entries);
        Assert.Empty(verification.Findings);
    }

    [Fact]
    public async Task An_append_that_is_rolled_back_leaves_no_gap()
    {
        await AppendAsync("key:a", "first", null, null);
        await using (var connection = await _postgres.Worker.OpenConnectionAsync())
        await using (await connection.BeginTransactionAsync())
        {
            await using var command = Append("key:a", "never", null, null);
            command.Connection = connection;
            await command.ExecuteNonQueryAsync();
        }

        await AppendAsync("key:a", "second", null, null);
        Assert.Equal("first,second", await _postgres.AskAsync<string>("select string_agg(action, ',' order by seq) from pulse.audit_log"));
        Assert.Empty((await VerifyAsync(await EntriesAsync(), [])).Findings);
    }

    [Theory]
    [InlineData("update pulse.audit_log set actor = 'somebody else'")]
    [InlineData("delete from pulse.audit_log")]
    [InlineData("truncate pulse.audit_log")]
    public async Task Nobody_may_change_it_its_owner_neither(string sql)
    {
        await AppendAsync("key:a", "org.suspended", null, null);
        foreach (var role in new[] { _postgres.Worker, _postgres.Ingress })
        {
            await using var command = role.CreateCommand(sql);
            Assert.Equal(PostgresErrorCodes.InsufficientPrivilege, (await Assert.ThrowsAsync<PostgresException>(() => command.ExecuteNonQueryAsync())).SqlState);
        }

        // Also when the owner gives himself the right.
        await Assert.ThrowsAsync<PostgresException>(() => _postgres.AskAsync<object>($"grant all on pulse.audit_log to pulse_worker; {sql}"));
        Assert.Equal(1, await _postgres.AskAsync<long>("select count(*) from pulse.audit_log"));
    }

    [Fact]
    public async Task A_thousand_random_edits_drops_swaps_insertions_and_truncations_are_all_found()
    {
        for (var i = 0; i < 40; i++)
            await AppendAsync($"key:{i % 3}", $"action-{i}", $$"""{"i":{{i}}}""", i % 2 == 0 ? null : """{"x":"y"}""");
        var entries = await EntriesAsync();
        Checkpoint?[] checkpoints = [.. new[] { 10, 25, 40 }.Select(count => Checkpoint.Sign(_key, count, entries[count - 1].Hash, DateTimeOffset.UtcNow))];
        Assert.Empty((await VerifyAsync(entries, checkpoints)).Findings);

        var seed = Random.Shared.Next();
        var random = new Random(seed);
        for (var n = 0; n < 1000; n++)
        {
            var (what, tampered) = Tamper(entries, random);
            Assert.True(!(await VerifyAsync(tampered, checkpoints)).Holds, $"Not found: {what} (seed {seed}, number {n}).");
        }
    }

    static (string What, List<AuditEntry> Entries) Tamper(List<AuditEntry> entries, Random random)
    {
        List<AuditEntry> tampered = [.. entries];
        var at = random.Next(tampered.Count);
        var entry = tampered[at];
        var buffer = new System.Buffers.ArrayBufferWriter<byte>();
        switch (random.Next(7))
        {
            case 0:
                tampered[at] = Edited(entry, random);
                return ($"an edit of {at}", tampered);
            case 1:
                // By somebody who knows how hashes are made, and writes every later one anew.
                tampered[at] = Edited(entry, random);
                Rehash(tampered, at, buffer);
                return ($"an edit of {at} and every hash from there on", tampered);
            case 2:
                tampered.RemoveAt(at);
                return ($"without {at}", tampered);
            case 5:
                // Its own hash is right again, and only the row behind it tells.
                var edited = Edited(entry, random);
                tampered[at] = edited with { Hash = edited.ComputeHash(buffer) };
                return ($"an edit of {at} and of its hash", tampered);
            case 3:
                tampered.RemoveAt(at);
                for (var i = at; i < tampered.Count; i++)
                    tampered[i] = tampered[i] with { Seq = i + 1 };
                Rehash(tampered, at, buffer);
                return ($"without {at}, and all behind it numbered and hashed anew", tampered);
            case 4:
                var other = (at + 1 + random.Next(tampered.Count - 1)) % tampered.Count;
                (tampered[at], tampered[other]) = (tampered[other] with { Seq = entry.Seq }, entry with { Seq = tampered[other].Seq });
                return ($"{at} and {other} swapped", tampered);
            default:
                tampered.RemoveRange(at, tampered.Count - at);
                return ($"cut off at {at}", tampered);
        }
    }

    static AuditEntry Edited(AuditEntry entry, Random random) => random.Next(6) switch
    {
        0 => entry with { Actor = entry.Actor + "x" },
        1 => entry with { Action = "org.purged" },
        2 => entry with { At = entry.At + 1 },
        3 => entry with { Before = """{"i": -1}""" },
        4 => entry with { After = entry.After is null ? "null" : null },
        _ => entry with { OrgId = Guid.NewGuid().ToString() },
    };

    static void Rehash(List<AuditEntry> entries, int from, System.Buffers.ArrayBufferWriter<byte> buffer)
    {
        for (var i = from; i < entries.Count; i++)
        {
            var linked = entries[i] with { PreviousHash = i == 0 ? AuditEntry.BeforeTheFirst : entries[i - 1].Hash };
            entries[i] = linked with { Hash = linked.ComputeHash(buffer) };
        }
    }

    [Fact]
    public async Task A_checkpoint_of_another_key_and_one_that_was_changed_are_told_apart_from_a_broken_log()
    {
        await AppendAsync("key:a", "org.suspended", null, null);
        var entries = await EntriesAsync();
        using var other = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var genuine = Checkpoint.Sign(_key, 1, entries[0].Hash, DateTimeOffset.UtcNow);

        Assert.Empty((await VerifyAsync(entries, [Checkpoint.Parse(genuine.ToLine())])).Findings);
        Assert.Equal("checkpoint_forged", Assert.Single((await VerifyAsync(entries, [Checkpoint.Sign(other, 1, entries[0].Hash, DateTimeOffset.UtcNow)])).Findings).What);
        Assert.Equal("checkpoint_forged", Assert.Single((await VerifyAsync(entries, [genuine with { Count = 2 }])).Findings).What);
        Assert.Equal("checkpoint_forged", Assert.Single((await VerifyAsync(entries, [genuine with { At = genuine.At.AddDays(-1) }])).Findings).What);
        Assert.Equal("checkpoint_unreadable", Assert.Single((await VerifyAsync(entries, [Checkpoint.Parse("{")])).Findings).What);
    }

    Task<AuditVerification> VerifyAsync(IEnumerable<AuditEntry> entries, IReadOnlyList<Checkpoint?> checkpoints) =>
        AuditVerification.RunAsync(entries.ToAsyncEnumerable(), checkpoints, _key, CancellationToken.None);

    async Task<List<AuditEntry>> EntriesAsync()
    {
        var entries = new List<AuditEntry>();
        await foreach (var entry in AuditTable.AllAsync(_postgres.Worker, CancellationToken.None))
            entries.Add(entry);
        return entries;
    }

    async Task AppendAsync(string actor, string action, string? before, string? after)
    {
        await using var command = Append(actor, action, before, after);
        await using var connection = await _postgres.Worker.OpenConnectionAsync();
        command.Connection = connection;
        await command.ExecuteNonQueryAsync();
    }

    static NpgsqlCommand Append(string actor, string action, string? before, string? after) => new("select pulse.append_audit($1, $2, $3, $4, $5, $6, $7)")
    {
        Parameters =
        {
            new() { Value = DateTime.UtcNow }, new() { Value = actor }, new() { Value = action },
            new() { Value = before is null ? DBNull.Value : Guid.NewGuid(), NpgsqlDbType = NpgsqlDbType.Uuid },
            new() { Value = (object?)before ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Jsonb },
            new() { Value = (object?)after ?? DBNull.Value, NpgsqlDbType = NpgsqlDbType.Jsonb },
            new() { Value = DBNull.Value, NpgsqlDbType = NpgsqlDbType.Text },
        },
    };
}

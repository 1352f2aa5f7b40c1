using System.Security.Cryptography;
using Npgsql;
using Pulse.Worker.Audit;

namespace Pulse.Tests.Audit;

/// <summary>What the owner of the table can do to it, once he has taken its trigger away: each is found.</summary>
public sealed class TamperTests : IAsyncLifetime
{
    const int Entries = 40;

    readonly TestPostgres _postgres = new();
    readonly ECDsa _key = ECDsa.Create(ECCurve.NamedCurves.nistP256);

    public Task InitializeAsync() => _postgres.InitializeAsync();

    public async Task DisposeAsync()
    {
        _key.Dispose();
        await _postgres.DisposeAsync();
    }

    [Fact]
    public async Task A_thousand_random_edits_drops_swaps_insertions_and_truncations_are_all_found()
    {
        await _postgres.RunAsync("""
            select pulse.append_audit(now() + i * interval '1 second', 'key:' || i % 3, 'action-' || i, case when i % 4 > 0 then gen_random_uuid() end,
                jsonb_build_object('i', i), case when i % 2 = 0 then '{"x": "y"}'::jsonb end, case when i % 3 > 0 then 'operation:' || i end)
            from generate_series(1, $1) i
            """, Entries);
        Checkpoint?[] checkpoints = [await CheckpointAsync(10), await CheckpointAsync(25), await CheckpointAsync(Entries)];

        await using var connection = await OpenedAsync();
        // One transaction, so that each begins where the last did.
        await using var transaction = await connection.BeginTransactionAsync();
        Assert.Empty((await VerifyAsync(connection, checkpoints)).Findings);

        var seed = Random.Shared.Next();
        var random = new Random(seed);
        for (var n = 0; n < 1000; n++)
        {
            var sql = Tampering(random);
            await transaction.SaveAsync("untouched");
            await RunAsync(connection, sql);
            Assert.False((await VerifyAsync(connection, checkpoints)).Holds, $"Not found: {sql} (seed {seed}, number {n}).");
            await transaction.RollbackAsync("untouched");
        }

        Assert.Empty((await VerifyAsync(connection, checkpoints)).Findings);
    }

    /// <summary>Behind the last checkpoint nothing but the chain itself tells.</summary>
    [Theory]
    [InlineData("update pulse.audit_log set seq = 9 where seq = 3", "9 gap, 9 altered")]
    [InlineData("update pulse.audit_log set at = at + interval '1 microsecond' where seq = 2", "2 altered")]
    [InlineData("update pulse.audit_log set actor = 'x' where seq = 2", "2 altered")]
    [InlineData("update pulse.audit_log set action = 'x' where seq = 2", "2 altered")]
    [InlineData("update pulse.audit_log set org_id = gen_random_uuid() where seq = 2", "2 altered")]
    [InlineData("update pulse.audit_log set before = 'null' where seq = 2", "2 altered")]
    [InlineData("update pulse.audit_log set after = 'null' where seq = 2", "2 altered")]
    [InlineData("update pulse.audit_log set cause = '' where seq = 2", "2 altered")]
    [InlineData("update pulse.audit_log set actor = actor || left(action, 1), action = substr(action, 2) where seq = 2", "2 altered")]
    [InlineData("update pulse.audit_log set actor = 'x' where seq = 2; select pg_temp.rehash(2, 2)", "3 unlinked")]
    [InlineData("delete from pulse.audit_log where seq = 2", "3 gap, 3 unlinked")]
    [InlineData("delete from pulse.audit_log where seq = 2; select pg_temp.rehash(3, 3)", "3 gap")]
    [InlineData("update pulse.audit_log set previous_hash = hash where seq = 2", "2 unlinked, 2 altered")]
    [InlineData("update pulse.audit_log set hash = previous_hash where seq = 3", "3 altered")]
    public async Task It_is_told_what_was_done_and_where(string sql, string findings)
    {
        await _postgres.RunAsync("select pulse.append_audit(now(), 'key:a', 'action-' || i, null, null, null, null) from generate_series(1, 3) i");
        await using var connection = await OpenedAsync();

        await RunAsync(connection, sql);

        Assert.Equal(findings, string.Join(", ", (await VerifyAsync(connection, [])).Findings.Select(finding => $"{finding.Seq} {finding.What}")));
    }

    /// <summary>The chain is whole in each of these.</summary>
    [Theory]
    [InlineData("delete from pulse.audit_log where seq = 3", "3 cut_off")]
    [InlineData("delete from pulse.audit_log", "2 cut_off, 3 cut_off")]
    [InlineData("update pulse.audit_log set cause = 'x' where seq = 2; select pg_temp.rehash(2, 3)", "2 rewritten, 3 rewritten")]
    [InlineData("update pulse.audit_log set cause = 'x' where seq = 3; select pg_temp.rehash(3, 3)", "3 rewritten")]
    public async Task What_the_chain_does_not_tell_a_checkpoint_tells(string sql, string findings)
    {
        await _postgres.RunAsync("select pulse.append_audit(now(), 'key:a', 'action-' || i, null, null, null, null) from generate_series(1, 3) i");
        Checkpoint?[] checkpoints = [await CheckpointAsync(2), await CheckpointAsync(3)];
        await using var connection = await OpenedAsync();

        await RunAsync(connection, sql);

        Assert.Equal(findings, string.Join(", ", (await VerifyAsync(connection, checkpoints)).Findings.Select(finding => $"{finding.Seq} {finding.What}")));
        Assert.Empty((await VerifyAsync(connection, [])).Findings);
    }

    // Nobody's right and no trigger is in the way.
    async Task<NpgsqlConnection> OpenedAsync()
    {
        var connection = await _postgres.Worker.OpenConnectionAsync();
        await RunAsync(connection, $"grant all on pulse.audit_log to pulse_worker; alter table pulse.audit_log disable trigger user; {RehashSql}");
        return connection;
    }

    // What somebody does who knows how hashes are made: every later one anew.
    const string RehashSql = """
        create function pg_temp.rehash(first bigint, last bigint) returns void language plpgsql as $$
        declare
            previous bytea := coalesce((select hash from pulse.audit_log where seq < first order by seq desc limit 1), decode(repeat('00', 32), 'hex'));
            l record;
        begin
            for l in select * from pulse.audit_log where seq between first and last order by seq loop
                update pulse.audit_log set previous_hash = previous, hash = pulse.audit_hash(previous, l.seq, l.at, l.actor, l.action, l.org_id, l.before, l.after, l.cause)
                where seq = l.seq returning hash into previous;
            end loop;
        end $$;
        """;

    static string Tampering(Random random)
    {
        var at = random.Next(Entries) + 1;
        var other = (at + random.Next(Entries - 1)) % Entries + 1;
        var edit = $"update pulse.audit_log set {Edit(random)} where seq = {at}";
        var before = Math.Min(at, Entries - 1);
        var renumber = $"update pulse.audit_log set seq = -seq where seq > {at}; update pulse.audit_log set seq = -seq - 1 where seq < 0";
        return random.Next(10) switch
        {
            0 or 1 => edit,
            2 => $"update pulse.audit_log set {EditOfHash(random)} where seq = {at}",
            3 => $"{edit}; select pg_temp.rehash({at}, {Entries})",
            // Its own hash is right again, and only the row behind it tells; behind the last, a checkpoint.
            4 => $"{edit}; select pg_temp.rehash({at}, {at})",
            5 => $"delete from pulse.audit_log where seq = {at}",
            6 => $"delete from pulse.audit_log where seq = {at}; {renumber}; select pg_temp.rehash({at}, {Entries})",
            7 => $"update pulse.audit_log set seq = -{other} where seq = {at}; update pulse.audit_log set seq = {at} where seq = {other}; update pulse.audit_log set seq = {other} where seq < 0",
            8 => $"""
                update pulse.audit_log set seq = -seq where seq > {before}; update pulse.audit_log set seq = 1 - seq where seq < 0;
                insert into pulse.audit_log select {before} + 1, at, 'key:intruder', action, org_id, before, after, cause, previous_hash, hash from pulse.audit_log where seq = {before};
                select pg_temp.rehash({before} + 1, {Entries} + 1)
                """,
            _ => $"delete from pulse.audit_log where seq >= {at}",
        };
    }

    static string Edit(Random random) => random.Next(9) switch
    {
        0 => "actor = actor || 'x'",
        1 => "action = 'org.purged'",
        2 => "at = at + interval '1 microsecond'",
        3 => """before = '{"i": -1}'""",
        4 => "after = case when after is null then 'null'::jsonb end",
        5 => "org_id = gen_random_uuid()",
        6 => "cause = case when cause is null then '' end",
        // The same characters, in other fields.
        7 => "actor = actor || left(action, 1), action = substr(action, 2)",
        _ => "before = after, after = before",
    };

    static string EditOfHash(Random random)
    {
        var bit = random.Next(256);
        return random.Next(4) switch
        {
            0 => "previous_hash = sha256(previous_hash)",
            1 => "hash = sha256(hash)",
            2 => "hash = substr(hash, 1, 31)",
            _ => $"hash = set_bit(hash, {bit}, 1 - get_bit(hash, {bit}))",
        };
    }

    async Task<Checkpoint> CheckpointAsync(long count) =>
        Checkpoint.Sign(_key, count, await _postgres.AskAsync<byte[]>("select hash from pulse.audit_log where seq = $1", count), DateTimeOffset.UtcNow);

    async Task<AuditVerification> VerifyAsync(NpgsqlConnection connection, Checkpoint?[] checkpoints)
    {
        await using var rows = await AuditTable.OpenAsync(connection, CancellationToken.None);
        return await AuditVerification.RunAsync(new AuditRows(rows), checkpoints, _key, CancellationToken.None);
    }

    static async Task RunAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        await command.ExecuteNonQueryAsync();
    }
}

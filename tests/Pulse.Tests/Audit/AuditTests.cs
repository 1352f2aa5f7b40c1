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

        var verification = await VerifyAsync();

        Assert.Equal(3, verification.Entries);
        Assert.Empty(verification.Findings);
    }

    [Fact]
    public async Task Rows_of_any_size_hold()
    {
        foreach (var size in (int[])[0, 4_000, 40_000, 70_000, 1_000_000, 1])
            await AppendAsync("key:a", "org.suspended", $"\"{new string('é', size)}\"", after: $"[\"{new string('x', size)}\"]");

        var verification = await VerifyAsync();

        Assert.Equal(6, verification.Entries);
        Assert.Empty(verification.Findings);
    }

    [Fact]
    public async Task However_its_bytes_come_they_are_the_same_rows()
    {
        await AppendAsync("key:a", "org.suspended", """{"status": "active"}""", null);
        await AppendAsync("", "", null, null);
        await AppendAsync("key:b", "org.unsuspended", null, "[]");
        using var all = new MemoryStream();
        await using (var connection = await _postgres.Worker.OpenConnectionAsync())
        await using (var copy = await AuditTable.OpenAsync(connection, CancellationToken.None))
            await copy.CopyToAsync(all);

        for (var size = 1; size < 200; size++)
        {
            using var pieces = new Pieces(all.ToArray(), size);
            var verification = await AuditVerification.RunAsync(new AuditRows(pieces), [], _key, CancellationToken.None);
            Assert.Equal(3, verification.Entries);
            Assert.Empty(verification.Findings);
        }

        // The end of all rows is said, not only reached.
        using var less = new Pieces(all.ToArray()[..^2], 50);
        await Assert.ThrowsAsync<EndOfStreamException>(() => AuditVerification.RunAsync(new AuditRows(less), [], _key, CancellationToken.None));
    }

    sealed class Pieces(byte[] all, int size) : MemoryStream(all)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..Math.Min(size, buffer.Length)], cancellationToken);
    }

    [Fact]
    public async Task An_empty_log_holds() => Assert.True((await VerifyAsync()).Holds);

    [Fact]
    public async Task Appends_at_the_same_time_form_one_chain_without_gaps()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(async writer =>
        {
            for (var i = 0; i < 25; i++)
                await AppendAsync($"key:{writer}", "org.suspended", $"{i}", after: null);
        }));

        var verification = await VerifyAsync();
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
        Assert.Empty((await VerifyAsync()).Findings);
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

    // The trigger refuses it as well: who has lost the one must still have the other.
    [Theory]
    [InlineData("pulse_worker")]
    [InlineData("pulse_ingress")]
    [InlineData("pulse_tenant")]
    public async Task No_role_has_the_right_to_change_it(string role) =>
        Assert.Equal("", await _postgres.AskAsync<string>("""
            select coalesce(string_agg(privilege, ', '), '')
            from unnest(array['update', 'delete', 'truncate'] || case when $1 = 'pulse_worker' then '{}'::text[] else array['insert'] end) privilege
            where has_table_privilege($1, 'pulse.audit_log', privilege)
                or (privilege in ('insert', 'update') and $1 <> 'pulse_worker' and has_any_column_privilege($1, 'pulse.audit_log', privilege))
            """, role));

    [Fact]
    public async Task A_checkpoint_of_another_key_and_one_that_was_changed_are_told_apart_from_a_broken_log()
    {
        await AppendAsync("key:a", "org.suspended", null, null);
        var head = await _postgres.AskAsync<byte[]>("select hash from pulse.audit_log");
        using var other = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var genuine = Checkpoint.Sign(_key, 1, head, DateTimeOffset.UtcNow);

        Assert.Empty((await VerifyAsync([Checkpoint.Parse(genuine.ToLine())])).Findings);
        Assert.Equal("checkpoint_forged", Assert.Single((await VerifyAsync([Checkpoint.Sign(other, 1, head, DateTimeOffset.UtcNow)])).Findings).What);
        Assert.Equal("checkpoint_forged", Assert.Single((await VerifyAsync([genuine with { Count = 2 }])).Findings).What);
        Assert.Equal("checkpoint_forged", Assert.Single((await VerifyAsync([genuine with { At = genuine.At.AddDays(-1) }])).Findings).What);
        Assert.Equal("checkpoint_unreadable", Assert.Single((await VerifyAsync([Checkpoint.Parse("{")])).Findings).What);
    }

    async Task<AuditVerification> VerifyAsync(params IReadOnlyList<Checkpoint?> checkpoints)
    {
        await using var connection = await _postgres.Worker.OpenConnectionAsync();
        await using var rows = await AuditTable.OpenAsync(connection, CancellationToken.None);
        return await AuditVerification.RunAsync(new AuditRows(rows), checkpoints, _key, CancellationToken.None);
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

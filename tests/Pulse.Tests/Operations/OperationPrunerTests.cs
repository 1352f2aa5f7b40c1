using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging.Abstractions;
using Pulse.Hosting;
using Pulse.Worker.Operations;

namespace Pulse.Tests.Operations;

public sealed class OperationPrunerTests(TestPostgres postgres) : IClassFixture<TestPostgres>
{
    [Fact]
    public async Task What_ended_longer_ago_than_the_retention_is_forgotten_and_what_has_not_ended_never()
    {
        var clock = new TestClock();
        var now = clock.GetUtcNow();
        await AddAsync("succeeded", now.AddDays(-100), now.AddDays(-91), count: 25);
        await AddAsync("refused", now.AddDays(-100), now.AddDays(-91), count: 1);
        await AddAsync("succeeded", now.AddDays(-100), now.AddDays(-89), count: 3);
        await AddAsync("succeeded", now.AddDays(-1), now.AddDays(-1), count: 4);
        await AddAsync("pending", now.AddDays(-1000), null, count: 5);
        var pruner = new OperationPruner(postgres.Worker, OperationOptions.Read(new Settings(new ConfigurationBuilder().Build())), clock, NullLogger<OperationPruner>.Instance);

        // In pieces, to the last of them.
        Assert.Equal(26, await pruner.PruneAsync(10, CancellationToken.None));
        Assert.Equal(12L, await postgres.AskAsync<long>("select count(*) from pulse.operations"));
        Assert.Equal(5L, await postgres.AskAsync<long>("select count(*) from pulse.operations where status = 'pending'"));
        Assert.Equal(0, await pruner.PruneAsync(10, CancellationToken.None));

        clock.Advance(TimeSpan.FromDays(2));
        Assert.Equal(3, await pruner.PruneAsync(10, CancellationToken.None));
    }

    async Task AddAsync(string status, DateTimeOffset requestedAt, DateTimeOffset? completedAt, int count)
    {
        for (var i = 0; i < count; i++)
        {
            await postgres.RunAsync(
                "insert into pulse.operations (operation_id, kind, request, actor, status, requested_at, completed_at) values ($1, 'test', '{}', 'key:test', $2, $3, $4)",
                Guid.CreateVersion7(requestedAt), status, requestedAt.UtcDateTime, (object?)completedAt?.UtcDateTime ?? DBNull.Value);
        }
    }
}

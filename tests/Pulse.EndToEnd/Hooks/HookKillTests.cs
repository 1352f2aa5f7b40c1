using System.Collections.Concurrent;
using System.Diagnostics;
using Pulse.Testing;
using Xunit.Abstractions;

namespace Pulse.EndToEnd.Hooks;

/// <summary>kill -9 around the call of the platform's hook. Each organization is made once for each key, and nothing is left behind.</summary>
public sealed class HookKillTests(HookKillTests.PatientPulse pulse, ITestOutputHelper output) : IClassFixture<HookKillTests.PatientPulse>
{
    /// <summary>Waits for the platform longer than a worker takes to get up again on a busy machine.</summary>
    public sealed class PatientPulse : HookedPulse
    {
        protected override TimeSpan Deadline => TimeSpan.FromSeconds(60);
    }

    /// <summary>All that a worker does between a signup's message and its tenant, with a hook.</summary>
    static readonly string[] All =
    [
        "provisioning: before commit", "provisioning: after commit", "provisioning: before acknowledge", "provisioning: after acknowledge",
        "hooks: before commit", "hooks: after commit", "hooks: before acknowledge", "hooks: after acknowledge",
        "hook-calls: before lease", "hook-calls: after lease", "hook-calls: before call", "hook-calls: after call",
        "hook-calls: before commit", "hook-calls: after commit", "hook-calls: before acknowledge", "hook-calls: after acknowledge",
    ];

    public static TheoryData<string> Points => new(All);

    [Theory]
    [MemberData(nameof(Points))]
    public async Task Wherever_the_worker_dies_the_platform_makes_one_tenant(string point)
    {
        pulse.Platform();
        var signup = Guid.Empty;
        await pulse.DieAtAsync(point, async () => signup = await pulse.SignUpAsync());

        var org = (await pulse.EndsAsync(signup, "provisioned"))!.Value;

        Assert.Equal(org, await pulse.OrgOfAsync(signup));
        Assert.Equal(1, pulse.Receiver.Made(org));
        Assert.Contains(org, pulse.Receiver.Tenants);
        Assert.Single(pulse.Receiver.Received.Where(received => received.OrgId == org).Select(received => (received.Id, received.Body)).Distinct());
        Assert.Equal(1L, await pulse.AskAsync<long>("select count(*) from pulse.memberships where org_id = $1", org));
        await pulse.HealthyAtRestAsync();
    }

    // A point that is new in the code has to be died at as well.
    [Fact]
    public async Task The_points_to_die_at_are_those_that_a_call_comes_by()
    {
        pulse.Platform();
        await pulse.EndsAsync(await pulse.SignUpAsync(), "provisioned");
        var points = All.ToHashSet();
        await Eventually.Until(() => points.IsSubsetOf(pulse.Reached), TimeSpan.FromSeconds(20), "a signup came by all of them");

        Assert.Equal(points.Order(), pulse.Reached.Where(point => point.StartsWith("hook", StringComparison.Ordinal) || point.StartsWith("provisioning", StringComparison.Ordinal)).Order());
    }

    [Fact]
    public async Task However_the_platform_fails_and_whenever_the_worker_is_killed_every_signup_ends_and_no_orphan_stays()
    {
        var (signups, kills) = Environment.GetEnvironmentVariable("PULSE_TEST_LONG") == "1" ? (1000, 50) : (60, 6);
        var since = Stopwatch.GetTimestamp();
        // By the organization, so that a repeat meets the same platform: one that is well, one that is slow and does it, one that refuses, one that
        // fails half-way, one that tells later, one that never tells.
        pulse.Platform(received => received.IsProvision
            ? (received.OrgId.GetHashCode() & 7) switch
            {
                0 => new HookReply(422),
                1 => new HookReply(500) { Works = true },
                2 => new HookReply(200) { After = TimeSpan.FromSeconds(3) },
                3 => received.Number == 1 ? new HookReply(200) { Cuts = true } : new HookReply(200),
                4 => Later(received),
                5 => new HookReply(202) { Works = true },
                _ => new HookReply(200),
            }
            : new HookReply(received.Number == 1 ? 500 : 200));

        var accepted = new ConcurrentBag<Guid>();
        var posting = new List<Task>();
        for (var kill = 0; kill < kills; kill++)
        {
            // Each kill has its share, so that they are killed on the way from the first to the last.
            var before = pulse.Receiver.Received.Count;
            posting.Add(Parallel.ForEachAsync(
                Enumerable.Range(0, signups / kills), new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (_, _) => accepted.Add(await pulse.SignUpAsync())));
            await Eventually.Until(() => pulse.Receiver.Received.Count > before + 2, TimeSpan.FromSeconds(180), "the platform is called");
            await pulse.KillWorkerAsync();
            await pulse.RestartWorkerAsync();
        }

        await Task.WhenAll(posting);
        await Eventually.Until(
            async () => await pulse.AskAsync<long>("select count(*) from pulse.signups where signup_id = any($1) and status in ('provisioned', 'failed')", (object)accepted.ToArray()) == signups,
            TimeSpan.FromSeconds(300), "every signup has ended");
        await Eventually.Until(
            async () => await pulse.AskAsync<long>("select count(*) from pulse.hook_calls where status in ('pending', 'waiting')") == 0, TimeSpan.FromSeconds(300), "every call has ended");
        await pulse.HealthyAtRestAsync();

        var tenants = (await pulse.AskAsync<Guid[]>("select array_agg(org_id) from pulse.signups where signup_id = any($1) and status = 'provisioned'", (object)accepted.ToArray())).ToHashSet();
        var calls = pulse.Receiver.Received.Where(received => received.IsProvision).Select(received => received.OrgId).ToHashSet();
        Assert.Superset(tenants, calls);
        // The platform has what Pulse has, and nothing besides.
        var ours = (await pulse.AskAsync<Guid[]>("select array_agg(org_id) from pulse.organizations where not is_default")).ToHashSet();
        Assert.Equal(ours.Order(), pulse.Receiver.Tenants.Order());
        Assert.All(tenants, org => Assert.Equal(1, pulse.Receiver.Made(org)));
        Assert.All(calls, org => Assert.InRange(pulse.Receiver.Made(org), 0, 1));
        Assert.InRange(tenants.Count, 1, signups - 1);
        output.WriteLine($"{signups} signups, {kills} kills: {tenants.Count} tenants, {signups - tenants.Count} failed, {pulse.Receiver.Received.Count} calls; {Stopwatch.GetElapsedTime(since).TotalSeconds:0} s");

        HookReply Later(HookReceived received)
        {
            _ = Task.Run(async () => await pulse.CompleteAsync(received.Callback!, "succeeded"));
            return new HookReply(202) { Works = true };
        }
    }
}

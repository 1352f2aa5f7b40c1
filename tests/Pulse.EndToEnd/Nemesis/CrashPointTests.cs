using Pulse.Testing;

namespace Pulse.EndToEnd.Nemesis;

/// <summary>
/// A real process dies before and after every commit, publish, delete and acknowledgement between a signup's POST and its being counted.
/// There is no call to the outside on this way.
/// </summary>
public sealed class CrashPointTests(Journey journey) : IClassFixture<Journey>
{
    /// <summary>In the order in which a signup comes by.</summary>
    public static TheoryData<string, string> Points => new()
    {
        { "ingress", "outbox: before commit" },
        { "ingress", "outbox: after commit" },
        { "worker", "relay: before publish" },
        { "worker", "relay: before delete" },
        { "worker", "relay: after delete" },
        { "worker", "provisioning: before commit" },
        { "worker", "provisioning: after commit" },
        { "worker", "provisioning: before acknowledge" },
        { "worker", "provisioning: after acknowledge" },
        { "worker", "direct: before publish" },
        { "worker", "direct: before delete" },
        { "worker", "direct: after delete" },
        { "worker", "metrics: before commit" },
        { "worker", "metrics: after commit" },
        { "worker", "metrics: before acknowledge" },
        { "worker", "metrics: after acknowledge" },
    };

    [Theory]
    [MemberData(nameof(Points))]
    public async Task Wherever_a_process_dies_the_end_is_the_same(string process, string point)
    {
        Assert.Equal(journey.Undisturbed, await journey.DieAsync(process, point));

        // What is delivered for a second time finds that it is done, and goes.
        await Eventually.Until(async () => (await journey.ExamineAsync()).Queues.All(queue => queue.Value == 0), TimeSpan.FromSeconds(30), "the queues are empty");
        var report = await journey.ExamineAsync();
        Assert.True(report.Healthy, report.ToTable());
    }

    [Fact]
    public void A_signup_ends_as_one_tenant_and_nothing_is_under_way() => Assert.Equal(
        "signup provisioned, organization active, owners 1, billing trial v1, saga Provisioned v1; new: 1 signups, 1 organizations, 1 users, 1 sagas, 2 consumed; outbox 0",
        journey.Undisturbed);

    // A point that is new in the code, and so on a signup's way, has to be died at as well.
    [Theory]
    [InlineData("ingress")]
    [InlineData("worker")]
    public async Task The_points_to_die_at_are_those_that_a_signup_comes_by(string process)
    {
        var points = Points.Where(row => (string)row[0] == process).Select(row => (string)row[1]).Order(StringComparer.Ordinal).ToList();
        await Eventually.Until(() => points.TrueForAll(Journey.ReachedBy(process).Contains), TimeSpan.FromSeconds(20), "the journey came by all of them");
        Assert.Equal(points, Journey.ReachedBy(process).Order(StringComparer.Ordinal));
    }
}

using Pulse.Contracts.DeadLetters;
using Pulse.Testing;

namespace Pulse.EndToEnd.DeadLetters;

/// <summary>
/// A real worker dies at every point of a letter's way: while it is collected, planned, previewed, replayed, consumed and given up. Each time there is one
/// row, the right counts, one effect and one audit entry for each action.
/// </summary>
public sealed class LetterKillTests(LetterPulse pulse) : IClassFixture<LetterPulse>
{
    static readonly string[] Collecting = ["dead letters: before store", "dead letters: before acknowledge", "dead letters: after acknowledge"];

    /// <summary>What the worker does when, in the order of the way.</summary>
    static readonly (string Phase, string[] Points)[] Way =
    [
        ("fail", ["provisioning: after acknowledge", .. Collecting]),
        ("plan", ["replay: before look", "replay: after look", .. Around("replays")]),
        ("preview", Around("replay-previews")),
        ("start",
        [
            .. Around("replays"),
            "replay: before send", "replay: after send", "relay: before publish", "relay: before delete", "relay: after delete", .. Around("provisioning"),
            "direct: before publish", "direct: before delete", "direct: after delete", .. Around("metrics"),
            "replay: before go", "replay: after go", "replay: before end", "replay: after end",
        ]),
    ];

    static readonly string[] GivingUp = Around("dead-letters");

    static string[] Around(string endpoint) =>
        [$"{endpoint}: before commit", $"{endpoint}: after commit", $"{endpoint}: before acknowledge", $"{endpoint}: after acknowledge"];

    public static TheoryData<string, string> Points
    {
        get
        {
            var points = new TheoryData<string, string>();
            foreach (var (phase, ofPhase) in Way)
            {
                foreach (var point in ofPhase)
                    points.Add(phase, point);
            }

            return points;
        }
    }

    public static TheoryData<string> PointsOfCollecting => new(Collecting);

    public static TheoryData<string> PointsOfGivingUp => new(GivingUp);

    [Theory]
    [MemberData(nameof(Points))]
    public async Task Wherever_the_worker_dies_each_letter_is_one_row_and_its_replay_one_effect(string phase, string point)
    {
        var (signups, replay) = await ReplayAsync(phase, point);
        await pulse.EndAsync(signups, replay,
            "resolved 3; items resolved 3; sent 3, failures 1 of 1, 1 of 1, 1 of 1, organizations 3, consumed 3; "
            + "miscounted 0, outbox 0, audit replay_planned, replay_previewed, replay_started, replay_completed",
            phase == "fail" ? 1 : null);
    }

    [Theory]
    [MemberData(nameof(PointsOfCollecting))]
    public async Task A_replay_that_fails_again_is_counted_once_wherever_its_collector_dies(string point)
    {
        var signups = await CollectedAsync(2);
        var replay = await PlanAsync(signups);
        await pulse.DieAtAsync(point, () => pulse.AskAsync(
            DeadLetterOperations.Start, nameof(StartReplay), new StartRequest { RatePerSecond = 0, Canary = 0, StopOnFailureRatio = 1 }, replay));
        await pulse.EndAsync(signups, replay,
            "failed_again 2; items failed_again 2; sent 2, failures 2 of 2, 2 of 2, organizations 0, consumed 0; "
            + "miscounted 0, outbox 0, audit replay_planned, replay_started, replay_completed",
            least: 2);
    }

    [Theory]
    [MemberData(nameof(PointsOfGivingUp))]
    public async Task Letters_are_given_up_once_wherever_the_worker_dies(string point)
    {
        var signups = await CollectedAsync(2);
        var letters = await pulse.LettersAsync(signups);
        await pulse.DieAtAsync(point, () => pulse.AskAsync(
            DeadLetterOperations.Discard, nameof(DiscardDeadLetters), new SelectionRequest { Ids = letters, Reason = "not needed" }));
        await pulse.EndAsync(signups, null,
            "discarded 2; items ; sent 0, failures 1 of 1, 1 of 1, organizations 0, consumed 0; miscounted 0, outbox 0, audit dead_letters_discarded");
    }

    // A point that is new in the code, and so on a letter's way, has to be died at as well.
    [Fact]
    public async Task The_points_to_die_at_are_those_that_a_letter_comes_by()
    {
        await ReplayAsync(null, null);
        var given = await CollectedAsync(1);
        await pulse.SucceededAsync(await pulse.AskAsync(
            DeadLetterOperations.Discard, nameof(DiscardDeadLetters), new SelectionRequest { Ids = await pulse.LettersAsync(given), Reason = "not needed" }));
        var points = Way.SelectMany(part => part.Points).Concat(GivingUp).ToHashSet();
        await Eventually.Until(() => points.IsSubsetOf(pulse.Reached), TimeSpan.FromSeconds(20), "a letter came by all of them");
        Assert.Equal(points.Order(StringComparer.Ordinal), pulse.Reached.Order(StringComparer.Ordinal));
    }

    /// <summary>Three messages fail, are planned, looked at, mended, and replayed behind a canary.</summary>
    async Task<(Guid[] Signups, Guid Replay)> ReplayAsync(string? phase, string? point)
    {
        Guid[] signups = [];
        await pulse.DieAtAsync(At("fail"), async () => signups = await pulse.FailAsync(3));
        await ParkedAsync(signups, phase == "fail" ? 1 : null);

        var replay = Guid.Empty;
        await pulse.DieAtAsync(At("plan"), async () => replay = await AskForPlanAsync(signups));
        await pulse.SucceededAsync(replay);

        var preview = Guid.Empty;
        await pulse.DieAtAsync(At("preview"), async () => preview = await pulse.AskAsync(
            DeadLetterOperations.Preview, nameof(PreviewReplay), new PreviewRequest { Sample = 2 }, replay));
        await pulse.SucceededAsync(preview);

        await pulse.MendAsync(signups);
        await pulse.DieAtAsync(At("start"), () => pulse.AskAsync(
            DeadLetterOperations.Start, nameof(StartReplay), new StartRequest { RatePerSecond = 0, Canary = 1, StopOnFailureRatio = 0 }, replay));
        return (signups, replay);

        string? At(string here) => here == phase ? point : null;
    }

    async Task<Guid[]> CollectedAsync(int count)
    {
        var signups = await pulse.FailAsync(count);
        await ParkedAsync(signups);
        return signups;
    }

    Task ParkedAsync(Guid[] signups, int? least = null) => pulse.EndAsync(signups, null,
        $"parked {signups.Length}; items ; sent 0, failures {string.Join(", ", signups.Select(_ => "1 of 1"))}, organizations 0, consumed 0; miscounted 0, outbox 0, audit ", least);

    async Task<Guid> PlanAsync(Guid[] signups)
    {
        var replay = await AskForPlanAsync(signups);
        await pulse.SucceededAsync(replay);
        return replay;
    }

    async Task<Guid> AskForPlanAsync(Guid[] signups) => await pulse.AskAsync(
        DeadLetterOperations.Plan, nameof(PlanReplay), new PlanRequest { Ids = await pulse.LettersAsync(signups) });
}

using System.Diagnostics;
using System.Text.Json;
using Pulse.EndToEnd.Processes;
using Pulse.Testing;

namespace Pulse.EndToEnd.Console;

/// <summary><c>./pulse dlq</c> as it is typed.</summary>
public sealed class DlqTests(RunningPulse pulse, Chromium chromium) : BrowserTests(pulse, chromium)
{
    [Fact]
    public async Task A_message_that_failed_is_found_shown_planned_and_replayed_from_a_terminal()
    {
        var org = await TenantAsync();
        var (operation, letter) = await PoisonAsync(org);

        Assert.Contains("OperationMissingException", (await DlqAsync(0, "groups")).Output, StringComparison.Ordinal);
        Assert.Contains(letter.ToString(), (await DlqAsync(0, "list", "--org", org.ToString())).Output, StringComparison.Ordinal);
        var shown = (await DlqAsync(0, "show", letter.ToString())).Output;
        Assert.Contains(org.ToString(), shown, StringComparison.Ordinal);
        Assert.DoesNotContain(Planted, shown, StringComparison.Ordinal);
        Assert.Contains(Planted, (await DlqAsync(0, "show", letter.ToString(), "--reveal")).Output, StringComparison.Ordinal);

        var planned = (await DlqAsync(0, "replay", letter.ToString())).Output;
        Assert.Contains("would still fail", planned, StringComparison.Ordinal);
        Assert.Contains("Nothing has moved", planned, StringComparison.Ordinal);
        // Not mended: it fails again.
        Assert.Contains("failed again", (await DlqAsync(1, "replay", letter.ToString(), "--yes", "--no-preview", "--canary", "0", "--stop-ratio", "1")).Output, StringComparison.Ordinal);

        await Eventually.Until(async () => await StatusAsync(letter) == "failed_again", TimeSpan.FromSeconds(20), "the letter is back");
        // Nor by its canary, which stops it.
        var stopped = await EndedAsync("stopped");
        Assert.Contains("stopped by itself (canary_failed)", (await DlqAsync(1, "replay", letter.ToString(), "--yes", "--no-preview")).Output, StringComparison.Ordinal);
        await OneMoreEndedAsync("stopped", stopped);

        await MendAsync(operation, org);
        Assert.Contains("Every message was resolved: 1.", (await DlqAsync(0, "replay", letter.ToString(), "--yes")).Output, StringComparison.Ordinal);
        Assert.Equal("resolved", await StatusAsync(letter));
        Assert.Equal("completed", JsonSerializer.Deserialize<JsonElement>((await DlqAsync(0, "replays", "--limit", "1", "--json")).Output).GetProperty("items")[0].GetProperty("status").GetString());
    }

    [Fact]
    public async Task Its_exit_code_says_what_came_of_it()
    {
        var (_, letter) = await PoisonAsync(await TenantAsync());
        Assert.Contains("1 discarded.", (await DlqAsync(0, "discard", letter.ToString(), "--say", "a test")).Output, StringComparison.Ordinal);
        Assert.Contains("1 restored.", (await DlqAsync(0, "restore", letter.ToString(), "--say", "a test")).Output, StringComparison.Ordinal);
        Assert.Contains("Exit codes:", (await DlqAsync(0, "help")).Output, StringComparison.Ordinal);
        Assert.Contains("needs ids, or a filter, or --all", (await DlqAsync(2, "replay")).Output, StringComparison.Ordinal);
        Assert.Contains("not reachable", (await DlqAsync(3, [("PULSE_INGRESS_URL", "http://127.0.0.1:9")], "list")).Output, StringComparison.Ordinal);
        Assert.Contains("The key is not valid", (await DlqAsync(4, [("PULSE_ADMIN_KEY", "pulse_wrong")], "list")).Output, StringComparison.Ordinal);
        Assert.Contains("insufficient_scope", (await DlqAsync(4, [("PULSE_ADMIN_KEY", await KeyAsync("deadletters:read"))], "replay", "--all")).Output, StringComparison.Ordinal);
        Assert.Contains("is one or more of", (await DlqAsync(4, "list", "--status", "nonsense")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task On_a_terminal_a_replay_draws_a_bar_and_elsewhere_it_prints_lines()
    {
        var org = await TenantAsync();
        var letters = new List<Guid>();
        for (var number = 0; number < 3; number++)
        {
            var (operation, letter) = await PoisonAsync(org);
            await MendAsync(operation, org);
            letters.Add(letter);
        }

        // script gives it a terminal.
        var line = $"{Path.Combine(TestServers.Root, "pulse")} dlq replay {letters[0]} {letters[1]} --yes --no-preview --rate 1 --canary 0";
        var start = new ProcessStartInfo("script", ["-qec", line, "/dev/null"])
        {
            RedirectStandardOutput = true,
            RedirectStandardInput = true,
            Environment = { ["PULSE_INGRESS_URL"] = Pulse["PULSE_INGRESS_URL"], ["PULSE_ADMIN_KEY"] = Pulse["PULSE_ADMIN_KEY"] },
        };
        using var script = Process.Start(start)!;
        var drawn = await script.StandardOutput.ReadToEndAsync();
        await script.WaitForExitAsync();
        Assert.Equal(0, script.ExitCode);
        Assert.Contains("Ctrl-C ends watching, not the replay", drawn, StringComparison.Ordinal);
        Assert.Contains("\r  [", drawn, StringComparison.Ordinal);
        Assert.Contains("] 100 %  2 of 2  completed, 0 failed again", drawn, StringComparison.Ordinal);
        Assert.Contains("Every message was resolved: 2.", drawn, StringComparison.Ordinal);

        var plain = (await DlqAsync(0, "replay", letters[2].ToString(), "--yes", "--no-preview")).Output;
        Assert.Contains("completed: 1 of 1 handled, 0 failed again\n", plain, StringComparison.Ordinal);
        Assert.DoesNotContain('\r', plain);
        Assert.DoesNotContain('[', plain);
    }

    [Fact]
    public async Task What_is_wrong_is_said_with_what_to_do()
    {
        var nobody = Guid.CreateVersion7().ToString();
        foreach (var (code, says, arguments) in ((int, string, string[])[])
                 [
                     (4, "./pulse dlq list", ["show", nobody]), (4, "./pulse dlq replays", ["follow", nobody]), (4, "not_found", ["start", nobody]), (4, "not_found", ["pause", nobody]),
                     (4, "nothing_to_replay", ["replay", nobody]), (4, "nothing_to_replay", ["replay", "--queue", "nowhere"]), (0, "0 discarded.", ["discard", nobody, "--say", "a test"]),
                     (0, "No message is like this.", ["list", "--queue", "nowhere"]), (4, "would be masked", ["list", "--q", "sk_live_guess"]), (4, "would be masked", ["discard", "--q", "xyzzy", "--say", "why"]),
                     (2, "does not know 'lst'", ["lst"]), (2, "is no id", ["show", "7"]), (2, "--say WHY", ["discard", nobody]),
                 ])
        {
            Assert.Contains(says, (await DlqAsync(code, arguments)).Output, StringComparison.Ordinal);
        }

        Assert.Contains("./pulse admin-key create", (await DlqAsync(4, [("PULSE_ADMIN_KEY", "pulse_wrong")], "groups")).Output, StringComparison.Ordinal);
        // What is meant for another Pulse is not done at the one that is up here.
        Assert.Contains("no PULSE_ADMIN_KEY is exported", (await DlqAsync(2, [("PULSE_ADMIN_KEY", ""), ("PULSE_INGRESS_URL", "http://127.0.0.1:9")], "discard", "--all", "--say", "why")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Each_verb_is_told_as_json_and_a_replay_is_planned_started_paused_resumed_and_cancelled()
    {
        var org = await TenantAsync();
        var letters = new List<Guid>();
        for (var number = 0; number < 3; number++)
        {
            var (operation, letter) = await PoisonAsync(org);
            await MendAsync(operation, org);
            letters.Add(letter);
        }

        var planned = await JsonAsync("replay", letters[0].ToString(), letters[1].ToString(), letters[2].ToString(), "--rate", "0.01", "--canary", "0");
        var replay = planned.GetProperty("plan").GetProperty("replay_id").GetString()!;
        Assert.Equal(3, planned.GetProperty("preview").GetProperty("looked_at").GetInt32());
        Assert.Contains("--rate 0.01 --canary 0", (await DlqAsync(0, "replay", letters[0].ToString(), "--rate", "0.01", "--canary", "0", "--no-preview")).Output, StringComparison.Ordinal);

        // It would be followed to its end, and that is far away: a start that nobody watches.
        using (await Pulse.SendAsync("POST", $"/api/admin/replays/{replay}/start", """{"rate_per_second":0.01,"canary":0}"""))
            Assert.Equal("paused", (await JsonAsync("pause", replay)).GetProperty("status").GetString());
        Assert.Contains("replay_not_running", (await DlqAsync(4, "pause", replay)).Output, StringComparison.Ordinal);
        Assert.Contains("The replay is running.", (await DlqAsync(0, "resume", replay)).Output, StringComparison.Ordinal);
        Assert.Contains("The replay is cancelled.", (await DlqAsync(0, "cancel", replay)).Output, StringComparison.Ordinal);
        Assert.Equal("cancelled", JsonSerializer.Deserialize<JsonElement>((await DlqAsync(1, "follow", replay, "--json")).Output).GetProperty("status").GetString());
        Assert.Contains(" of 3 resolved", (await DlqAsync(1, "follow", replay)).Output, StringComparison.Ordinal);

        Assert.Contains(letters[2].ToString(), (await DlqAsync(0, "list", "--org", org.ToString(), "--json")).Output, StringComparison.Ordinal);
        Assert.NotEmpty((await JsonAsync("groups")).GetProperty("items").EnumerateArray());
        Assert.Equal(letters[2], (await JsonAsync("show", letters[2].ToString())).GetProperty("letter").GetProperty("dead_letter_id").GetGuid());
        Assert.Equal(1, (await JsonAsync("discard", letters[2].ToString(), "--say", "a test")).GetProperty("letters").GetInt32());
        Assert.Equal(1, (await JsonAsync("restore", letters[2].ToString(), "--say", "a test")).GetProperty("letters").GetInt32());
    }

    async Task<JsonElement> JsonAsync(params string[] arguments) => JsonSerializer.Deserialize<JsonElement>((await DlqAsync(0, [.. arguments, "--json"])).Output);

    Task<(int Code, string Output)> DlqAsync(int expected, params string[] arguments) => DlqAsync(expected, [], arguments);

    async Task<(int Code, string Output)> DlqAsync(int expected, (string Name, string Value)[] variables, params string[] arguments)
    {
        var start = new ProcessStartInfo(Path.Combine(TestServers.Root, "pulse"), ["dlq", .. arguments])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["PULSE_INGRESS_URL"] = Pulse["PULSE_INGRESS_URL"], ["PULSE_ADMIN_KEY"] = Pulse["PULSE_ADMIN_KEY"] },
        };
        foreach (var (name, value) in variables)
            start.Environment[name] = value;

        using var script = Process.Start(start)!;
        var said = await Task.WhenAll(script.StandardOutput.ReadToEndAsync(), script.StandardError.ReadToEndAsync());
        await script.WaitForExitAsync();
        Assert.True(script.ExitCode == expected, $"./pulse dlq {string.Join(' ', arguments)} ended with {script.ExitCode}.\n{string.Concat(said)}");
        return (script.ExitCode, string.Concat(said));
    }
}

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

        await MendAsync(operation, org);
        await Eventually.Until(async () => await StatusAsync(letter) == "failed_again", TimeSpan.FromSeconds(20), "the letter is back");
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

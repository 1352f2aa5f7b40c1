using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Pulse.Tests.StripeDouble;

/// <summary>Stripe's own package for node: whether Pulse and its double sign as Stripe does is not theirs to say.</summary>
static class SignatureOracle
{
    static readonly string Folder = Path.Combine(TestServers.Root, "tests", "Pulse.StripeDouble", "oracle");
    static readonly Lazy<Task> Installed = new(InstallAsync);

    /// <summary>Stripe's signature of each body.</summary>
    public static async Task<List<string>> SignAsync(string secret, DateTimeOffset at, IEnumerable<string> bodies) =>
        [.. (await AskAsync(bodies.Select(body => new JsonObject { ["sign"] = secret, ["body"] = body, ["at"] = at.ToUnixTimeSeconds() }))).Select(answer => (string)answer["header"]!)];

    /// <summary>The id of each event that Stripe's package takes; null for one that it refuses.</summary>
    public static async Task<List<string?>> VerifyAsync(string secret, DateTimeOffset at, IEnumerable<(string Body, string Header)> posts) =>
        [.. (await AskAsync(posts.Select(post => new JsonObject { ["verify"] = secret, ["body"] = post.Body, ["header"] = post.Header, ["at"] = at.ToUnixTimeSeconds() }))).Select(answer => (string?)answer["id"])];

    static async Task<IReadOnlyList<JsonNode>> AskAsync(IEnumerable<JsonNode> questions)
    {
        await Installed.Value;
        var answers = await RunAsync("node", ["signatures.js"], new JsonArray([.. questions]).ToJsonString());
        return [.. JsonNode.Parse(answers)!.AsArray().Select(answer => answer!)];
    }

    // Exactly what package-lock.json pins. npm tries again by itself when its registry does not answer.
    static async Task InstallAsync()
    {
        var installed = Path.Combine(Folder, "node_modules", "stripe", "package.json");
        var pinned = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Folder, "package-lock.json")))!["packages"]!["node_modules/stripe"]!["version"]!;
        if (!File.Exists(installed) || (string)JsonNode.Parse(await File.ReadAllTextAsync(installed))!["version"]! != (string)pinned!)
            await RunAsync("npm", ["ci", "--no-progress", "--prefer-offline"], "");
    }

    static async Task<string> RunAsync(string program, string[] arguments, string input)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = Folder, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = Start(start);
        var said = Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync());
        await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(3));
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{program} {string.Join(' ', arguments)} was not done within three minutes.");
        }

        var output = await said;
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}.\n{string.Concat(output)}");
        return output[0];
    }

    static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (System.ComponentModel.Win32Exception exception)
        {
            throw new InvalidOperationException($"{start.FileName} is not there: apt-get install nodejs npm, as ./pulse test does.", exception);
        }
    }
}

using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace Pulse.Bench;

/// <summary>Debian's wrk: a load of as many requests as are answered, over connections that are kept.</summary>
sealed partial class Wrk : IDisposable
{
    // Each request is put together once: the load must not cost more than what it loads.
    const string Script = """
        local requests = {}
        local next = 0
        function init(args)
          local headers = { ["X-Pulse-Authz-Key"] = args[2], ["X-Pulse-Capability"] = args[3] }
          for line in io.lines(args[4]) do
            headers["X-Pulse-Org-Id"] = line
            requests[#requests + 1] = wrk.format("GET", args[1], headers)
          end
        end
        function request()
          next = next % #requests + 1
          return requests[next]
        end
        """;

    readonly string _directory = Directory.CreateTempSubdirectory("pulse-wrk-").FullName;
    readonly Uri _server;
    readonly string _key;
    readonly string _capability;

    public Wrk(Uri server, string key, string capability, IEnumerable<Guid> orgs)
    {
        (_server, _key, _capability) = (server, key, capability);
        File.WriteAllText(Path.Combine(_directory, "load.lua"), Script);
        File.WriteAllLines(Path.Combine(_directory, "orgs"), orgs.Select(org => org.ToString()));
    }

    /// <summary>Sends the same requests, to one path or another.</summary>
    public async Task<IEnumerable<Value>> RunAsync(string path, int connections, TimeSpan duration)
    {
        var start = new ProcessStartInfo("wrk",
        [
            "-t1", $"-c{connections}", string.Create(CultureInfo.InvariantCulture, $"-d{duration.TotalSeconds:0}s"), "--latency", "-s", Path.Combine(_directory, "load.lua"),
            _server.ToString(), "--", path, _key, _capability, Path.Combine(_directory, "orgs"),
        ])
        {
            RedirectStandardOutput = true,
        };
        using var wrk = Process.Start(start) ?? throw new BenchmarkException("wrk did not start.");
        var output = await wrk.StandardOutput.ReadToEndAsync();
        await wrk.WaitForExitAsync();
        if (wrk.ExitCode != 0 || output.Contains("Non-2xx", StringComparison.Ordinal) || output.Contains("Socket errors", StringComparison.Ordinal))
            throw new BenchmarkException($"wrk ended with {wrk.ExitCode}:{Environment.NewLine}{output}");

        return
        [
            new Value("requests per second", "1/s", double.Parse(Rate().Match(output).Groups[1].Value, CultureInfo.InvariantCulture)),
            new Value("answered after, p50", "ms", Percentile(output, "50%")),
            new Value("answered after, p99", "ms", Percentile(output, "99%")),
        ];
    }

    static double Percentile(string output, string name)
    {
        var match = Regex.Match(output, $@"^\s+{name}\s+([0-9.]+)(us|ms|s)\s*$", RegexOptions.Multiline);
        return double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) * match.Groups[2].Value switch { "us" => 0.001, "ms" => 1, _ => 1000 };
    }

    [GeneratedRegex(@"^Requests/sec:\s+([0-9.]+)\s*$", RegexOptions.Multiline)]
    private static partial Regex Rate();

    public void Dispose() => Directory.Delete(_directory, recursive: true);
}

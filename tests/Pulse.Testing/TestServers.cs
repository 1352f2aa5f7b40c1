using System.Diagnostics;

namespace Pulse.Testing;

/// <summary>The servers that the tests run on: named by the environment, or private ones that <c>./pulse servers up</c> starts.</summary>
public static class TestServers
{
    static readonly Lazy<Task<IReadOnlyDictionary<string, string>>> Started = new(StartAsync);

    /// <summary>The repository, found from the test's own place upwards.</summary>
    public static string Root { get; } = FindRoot(AppContext.BaseDirectory);

    /// <summary>A variable such as <c>PULSE_POSTGRES_ADMIN</c>: the environment's, or that of the private servers.</summary>
    public static async Task<string> AddressAsync(string name) =>
        await FindAsync(name) ?? throw new InvalidOperationException($"./pulse servers up wrote no {name}.");

    /// <summary>The same, or null when neither has it.</summary>
    public static async Task<string?> FindAsync(string name)
    {
        if (Environment.GetEnvironmentVariable(name) is { Length: > 0 } given)
            return given;

        // A server that the caller named is not asked of the script, and neither is what belongs to it.
        return Environment.GetEnvironmentVariable("PULSE_POSTGRES_ADMIN") is { Length: > 0 } && name.StartsWith("PULSE_POSTGRES", StringComparison.Ordinal)
            ? null
            : (await Started.Value).GetValueOrDefault(name);
    }

    static async Task<IReadOnlyDictionary<string, string>> StartAsync()
    {
        var state = Path.Combine(Root, ".pulse", "test");
        var start = new ProcessStartInfo(Path.Combine(Root, "pulse"), ["servers", "up"])
        {
            WorkingDirectory = Root,
            Environment = { ["PULSE_STATE"] = state },
        };

        using var script = Process.Start(start) ?? throw new InvalidOperationException("./pulse did not start.");
        await script.WaitForExitAsync();
        if (script.ExitCode != 0)
            throw new InvalidOperationException($"./pulse servers up ended with {script.ExitCode}. Set PULSE_POSTGRES_ADMIN to use a server of yours.");

        return (await File.ReadAllLinesAsync(Path.Combine(state, "env")))
            .Select(line => line.Split('=', 2))
            .Where(parts => parts.Length == 2)
            .ToDictionary(parts => parts[0], parts => parts[1].Trim('\'', '"'));
    }

    static string FindRoot(string from)
    {
        for (var folder = new DirectoryInfo(from); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Pulse.sln")))
                return folder.FullName;
        }

        throw new InvalidOperationException($"There is no Pulse.sln above {from}.");
    }
}

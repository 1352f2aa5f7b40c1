using System.Diagnostics;
using System.Globalization;
using Pulse.Testing;

namespace Pulse.EndToEnd.Processes;

/// <summary>What <c>./pulse</c> runs under a state directory of its own: nobody else uses it, so all of it can be killed.</summary>
sealed class OwnState
{
    readonly string _directory = Directory.CreateTempSubdirectory("pulse-state-").FullName;
    Dictionary<string, string> _env = [];

    /// <summary>Where it is.</summary>
    public string Folder => _directory;

    /// <summary>A value of the directory's <c>env</c>.</summary>
    public string this[string name] => _env[name];

    /// <summary>Runs the script, which has to succeed, and reads what it says is running.</summary>
    /// <returns>What it printed.</returns>
    public async Task<string> RunAsync(string[] arguments, params (string Name, string Value)[] variables)
    {
        var start = new ProcessStartInfo(Path.Combine(TestServers.Root, "pulse"), arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            Environment = { ["PULSE_STATE"] = _directory },
        };
        // The servers of the whole test run would lend these their ports.
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("PULSE_", StringComparison.Ordinal) && name != "PULSE_STATE").ToList())
            start.Environment.Remove(name);
        foreach (var (name, value) in variables)
            start.Environment[name] = value;

        using var script = Process.Start(start)!;
        var said = await Task.WhenAll(script.StandardOutput.ReadToEndAsync(), script.StandardError.ReadToEndAsync());
        await script.WaitForExitAsync();
        Assert.True(script.ExitCode == 0, $"./pulse {string.Join(' ', arguments)} ended with {script.ExitCode}.\n{string.Concat(said)}");

        var env = Path.Combine(_directory, "env");
        if (File.Exists(env))
            _env = (await File.ReadAllLinesAsync(env))
                .Select(line => line.Split('=', 2))
                .Where(parts => parts.Length == 2)
                .ToDictionary(parts => parts[0], parts => parts[1].Trim('\'', '"'));
        return said[0];
    }

    /// <summary>Starts it again, dead or alive, with these variables over the usual ones.</summary>
    public Task RestartAsync(string name, params (string Name, string Value)[] variables) => RunAsync(["restart", name], variables);

    /// <summary>Stops what runs, and forgets its data.</summary>
    public async Task RemoveAsync()
    {
        await RunAsync(["down"]);
        Directory.Delete(_directory, recursive: true);
    }

    /// <summary>The process to signal, as the script wrote it down.</summary>
    public int Pid(string name) => int.Parse(File.ReadAllText(Path.Combine(_directory, "pids", name)).Trim(), CultureInfo.InvariantCulture);

    /// <summary>Whether it still runs. One that has ended and that nobody waited for has no command line.</summary>
    public bool Runs(string name)
    {
        try
        {
            return File.ReadAllText($"/proc/{Pid(name)}/cmdline").Length > 0;
        }
        catch (IOException)
        {
            return false;
        }
    }

    /// <summary>As kill -9 does, and waits until it is gone.</summary>
    public async Task KillAsync(string name)
    {
        using (var process = Process.GetProcessById(Pid(name)))
            process.Kill();

        await GoneAsync(name);
    }

    /// <summary>Asks it to stop, and waits until it has.</summary>
    public async Task StopAsync(string name)
    {
        Signal.Terminate(Pid(name));
        await GoneAsync(name);
    }

    Task GoneAsync(string name) => Eventually.Until(() => !Runs(name), TimeSpan.FromSeconds(40), $"{name} is gone");
}

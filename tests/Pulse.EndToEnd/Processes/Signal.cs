using System.Diagnostics;
using System.Globalization;

namespace Pulse.EndToEnd.Processes;

/// <summary>What .NET has no call for: its Process can only kill.</summary>
static class Signal
{
    public static void Terminate(int pid)
    {
        using var kill = Process.Start("kill", ["-s", "TERM", pid.ToString(CultureInfo.InvariantCulture)]);
        kill.WaitForExit();
        Assert.Equal(0, kill.ExitCode);
    }
}

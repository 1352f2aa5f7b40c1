using System.Diagnostics;
using System.Runtime.CompilerServices;
using Pulse.Messaging;

/// <summary>
/// What the runtime runs before Main in a process that is started with DOTNET_STARTUP_HOOKS: a real worker or ingress writes down each
/// crash point that it reaches, and does to itself what kill -9 does at the one that it was told of. Name and place are the runtime's.
/// </summary>
static class StartupHook
{
    /// <summary>Names the file that the points are written to. Beside it, with <c>.deadly</c> behind, is the one with the point to die at.</summary>
    public const string Variable = "CRASH_POINTS";

    static readonly Lock Gate = new();

    public static void Initialize()
    {
        var reached = Environment.GetEnvironmentVariable(Variable)!;
        CrashPoint.OfProcess = Die;
        if (File.Exists(Path.Combine(AppContext.BaseDirectory, "Pulse.Worker.dll")))
            HearOfTheWorker(Die);

        void Die(string point)
        {
            lock (Gate)
            {
                File.AppendAllText(reached, point + '\n');
                if (!File.Exists($"{reached}.deadly") || File.ReadAllText($"{reached}.deadly") != point)
                    return;

                Process.GetCurrentProcess().Kill();
                // Not one step more.
                Thread.Sleep(Timeout.Infinite);
            }
        }
    }

    // A method of its own: ingress has no such assembly, and must not look for it.
    [MethodImpl(MethodImplOptions.NoInlining)]
    static void HearOfTheWorker(Action<string> reached) => Pulse.Worker.Billing.SyncOptions.OfProcess = reached;
}

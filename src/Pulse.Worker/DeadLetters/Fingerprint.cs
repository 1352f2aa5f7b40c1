using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Pulse.Worker.DeadLetters;

/// <summary>What two failures have in common when one change of the code, or of the data, mends both.</summary>
/// <remarks>Of where it failed, not of what was said: messages carry ids. Pure.</remarks>
static partial class Fingerprint
{
    /// <summary>Frames that count. Below are the framework's, the same for all.</summary>
    const int Frames = 12;

    /// <returns>32 hex digits.</returns>
    public static string Of(string reason, string? exceptionType, string? normalStack, string? messageType)
    {
        // Each with its length before it, so that no two lists of parts are one text.
        var text = new StringBuilder();
        foreach (var part in (ReadOnlySpan<string?>)[reason, exceptionType, normalStack, messageType])
            text.Append(part?.Length ?? -1).Append(':').Append(part);
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())).AsSpan(0, 16));
    }

    /// <summary>
    /// A stack without what differs between two runs, or two builds, of the same fault: lines and files, state machines and closures of the compiler,
    /// addresses, offsets, and frames that only pass tasks on.
    /// </summary>
    /// <param name="stack">As .NET writes it; null and what is no stack are taken as they are.</param>
    public static string? Normalise(string? stack)
    {
        if (string.IsNullOrWhiteSpace(stack))
            return null;

        var frames = new List<string>();
        foreach (var line in stack.Split('\n'))
        {
            var frame = Whitespace().Replace(line, " ").Trim();
            if (frame.Length == 0 || Plumbing().IsMatch(frame))
                continue;

            frame = File().Replace(frame, "");
            frame = StateMachine().Replace(frame, "$1");
            frame = Closure().Replace(frame, "");
            frame = Lambda().Replace(frame, "$1.λ");
            frame = Generics().Replace(frame, "");
            frame = Number().Replace(frame, "#");
            // Recursion, however deep.
            if (frames.Count == 0 || frames[^1] != frame)
                frames.Add(frame);
            if (frames.Count == Frames)
                break;
        }

        return frames.Count == 0 ? null : string.Join('\n', frames);
    }

    [GeneratedRegex(@"\s+")]
    private static partial Regex Whitespace();

    // "--- End of stack trace from previous location ---", awaiters, and the pool.
    [GeneratedRegex(@"^--- |System\.Runtime\.CompilerServices\.|System\.Runtime\.ExceptionServices\.|System\.Threading\.(Tasks\.|ExecutionContext|ThreadPool)|^at lambda_method")]
    private static partial Regex Plumbing();

    [GeneratedRegex(@" in (?:[A-Za-z]:)?[^ ].*?:line \d+$| in <[0-9a-f]+>:\d+$")]
    private static partial Regex File();

    // Pulse.Worker.Thing.<RunAsync>d__12.MoveNext() → Pulse.Worker.Thing.RunAsync()
    [GeneratedRegex(@"<([\w.]+)>d(?:__\d+)?(?:`\d+)?\.MoveNext")]
    private static partial Regex StateMachine();

    [GeneratedRegex(@"<>c(?:__DisplayClass[\d_]+)?(?:`\d+)?\.")]
    private static partial Regex Closure();

    // <RunAsync>b__0, and local functions: <RunAsync>g__Inner|3_0
    [GeneratedRegex(@"<([\w.]+)>(?:b__[\d_]+|g__\w+\|[\d_]+)")]
    private static partial Regex Lambda();

    [GeneratedRegex(@"`\d+|\[[^\[\]]*\]")]
    private static partial Regex Generics();

    [GeneratedRegex(@"0x[0-9a-fA-F]+|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b|\b\d{2,}\b")]
    private static partial Regex Number();
}

using System.Diagnostics;

namespace Pulse.Demo;

/// <summary>Numbered steps, each with what it observed. After a step that does not hold the rest is not tried.</summary>
sealed class Journey(TextWriter output, bool colour)
{
    readonly Stopwatch _whole = Stopwatch.StartNew();
    int _steps;
    string? _broken;

    public async Task Step(string title, Func<Observations, Task> observe)
    {
        _steps++;
        if (_broken is not null)
        {
            output.WriteLine(Paint($"{_steps,2}. {title}: not tried", "2"));
            return;
        }

        output.WriteLine(Paint($"{_steps,2}. {title}", "1"));
        try
        {
            await observe(new Observations(this));
        }
        catch (DoesNotHoldException exception)
        {
            Line(Paint($"✗ {exception.Message}", "31"));
            _broken = title;
        }
        catch (Exception exception)
        {
            // Whatever else goes wrong is an observation too: the demo must end with its summary and not with a trace.
            Line(Paint($"✗ {exception.GetType().Name}: {exception.Message}", "31"));
            _broken = title;
        }
    }

    /// <summary>Prints the summary and gives the exit code.</summary>
    public int End()
    {
        output.WriteLine();
        output.WriteLine(_broken is null
            ? Paint($"Every step held: {_steps} steps in {_whole.Elapsed.TotalSeconds:0.0} s.", "32")
            : Paint($"A step did not hold: {_broken}.", "31"));
        return _broken is null ? 0 : 1;
    }

    internal void Holds(string what) => Line($"{Paint("✓", "32")} {what}");

    internal void Note(string what) => Line(Paint($"  {what}", "2"));

    void Line(string text)
    {
        output.WriteLine($"    {text}");
        output.Flush();
    }

    string Paint(string text, string code) => colour ? $"\e[{code}m{text}\e[0m" : text;
}

/// <summary>What one step saw.</summary>
sealed class Observations(Journey journey)
{
    /// <summary>Something that must be so; ends the step when it isn't.</summary>
    public void Check(bool holds, string what)
    {
        if (!holds)
            throw new DoesNotHoldException(what);

        journey.Holds(what);
    }

    /// <summary>Something worth seeing, whatever it is.</summary>
    public void Note(string what) => journey.Note(what);
}

sealed class DoesNotHoldException(string what) : Exception(what);

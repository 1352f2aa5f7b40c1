namespace Pulse.Hosting;

/// <summary>The process can't start as things are. The message says what is wrong and what to do; it is printed, without a stack trace.</summary>
public sealed class CannotStartException(string message, Exception? cause = null) : Exception(message, cause);

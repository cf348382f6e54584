namespace Grants.Browser.Tests;

/// <summary>All tests here share one server and read its log by position, so none runs beside another.</summary>
[CollectionDefinition(Name)]
public sealed class OneAfterTheOther
{
    public const string Name = "One after the other";
}

namespace Grants.Testing;

/// <summary>The repository's own sources, for rules that no compiler checks.</summary>
public static class SourceTree
{
    public static readonly DirectoryInfo Root = Find();

    /// <summary>Each C# file below a folder of the repository, with its path from the root.</summary>
    public static IReadOnlyList<(string Path, string Text)> CSharp(string folder) =>
        [.. Directory.EnumerateFiles(Path.Combine(Root.FullName, folder), "*.cs", SearchOption.AllDirectories)
            .Select(file => Path.GetRelativePath(Root.FullName, file).Replace('\\', '/'))
            .Where(file => !file.Contains("/obj/", StringComparison.Ordinal) && !file.Contains("/bin/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)
            .Select(file => (file, File.ReadAllText(Path.Combine(Root.FullName, file))))];

    private static DirectoryInfo Find()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "Grants.sln"))) return folder;
        }

        throw new DirectoryNotFoundException("The tests don't run inside the repository.");
    }
}

# One file, three images: docker build --target server | tally | bank .
# Ubuntu's own archive has .NET 10; UBUNTU chooses another release that does.
ARG UBUNTU=26.04
FROM ubuntu:${UBUNTU} AS build
RUN apt-get update && apt-get install -y --no-install-recommends dotnet-sdk-10.0 && rm -rf /var/lib/apt/lists/*
WORKDIR /repo
# Everything that decides a restore, before the sources: a change of code alone then finds the packages in the cache.
COPY global.json Directory.Build.props Directory.Packages.props BannedSymbols.txt .editorconfig ./
COPY src/Grants.Domain/Grants.Domain.csproj src/Grants.Domain/
COPY src/Grants.Projections/Grants.Projections.csproj src/Grants.Projections/
COPY src/Grants.Api/Grants.Api.csproj src/Grants.Api/
COPY samples/TallyBudget/TallyBudget.csproj samples/TallyBudget/
COPY samples/DemoBank/DemoBank.csproj samples/DemoBank/
# The first restore fetches what eng/publish.sh needs besides.
RUN dotnet restore src/Grants.Api -p:GeneratedCode=none -p:PublishReadyToRun=true --runtime "linux-$(uname -m | sed 's/x86_64/x64/;s/aarch64/arm64/')" \
    && for project in src/Grants.Api samples/TallyBudget samples/DemoBank; do dotnet restore "$project" || exit 1; done
COPY src src
COPY samples samples

FROM build AS build-server
COPY eng eng
RUN eng/publish.sh /app
FROM build AS build-tally
RUN dotnet publish samples/TallyBudget --no-restore --configuration Release --output /app
FROM build AS build-bank
RUN dotnet publish samples/DemoBank --no-restore --configuration Release --output /app

FROM ubuntu:${UBUNTU} AS base
WORKDIR /app
# curl is what health checks call. Every image runs as this user: the server's secrets are its files.
RUN apt-get update && apt-get install -y --no-install-recommends aspnetcore-runtime-10.0 curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 1654 --no-create-home grants

FROM base AS tally
COPY --from=build-tally /app .
USER grants
EXPOSE 5200
ENTRYPOINT ["dotnet", "TallyBudget.dll", "--urls", "http://+:5200"]

FROM base AS bank
COPY --from=build-bank /app .
USER grants
EXPOSE 5300
ENTRYPOINT ["dotnet", "DemoBank.dll", "--urls", "http://+:5300"]

# Last, so that it is what a build without --target makes.
FROM base AS server
COPY --from=build-server /app .
COPY samples/grants.json samples/grants.json
# Key-encryption key and client secrets. The volume takes over this owner.
RUN install -d -o grants -m 0700 /data
USER grants
ENV Grants__DataFolder=/data
VOLUME /data
EXPOSE 5100
ENTRYPOINT ["dotnet", "grants.dll", "--urls", "http://+:5100"]

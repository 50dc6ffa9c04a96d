# What an evaluation asked for, fetched before it: the evaluator itself reaches no network. Nothing of an author's is
# evaluated here; `wanted` is data, read from a lock file or from the evaluator's own words.
{ wanted, mark }:
let
  hash = path: (builtins.fetchTree { type = "path"; path = builtins.unsafeDiscardStringContext (toString path); }).narHash;
  described = tree: {
    name = "source";
    path = tree.outPath;
    inherit (tree) narHash;
    info = removeAttrs tree [ "outPath" ];
  };
  ways = {
    fetchTarball =
      args:
      let
        path = builtins.fetchTarball args;
      in
      {
        inherit path;
        sha256 = hash path;
      };
    fetchurl =
      args:
      let
        path = builtins.fetchurl args;
      in
      {
        inherit path;
        sha256 = builtins.hashFile "sha256" path;
      };
    fetchGit = args: described (builtins.fetchGit args);
    fetchTree = args: described (builtins.fetchTree args);
  };
in
mark + builtins.toJSON (
  builtins.listToAttrs (
    map (each: {
      name = each.key;
      value = ways.${each.fetch} each.args;
    }) wanted
  )
)

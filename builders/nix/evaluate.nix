# What an environment is: from a flake's outputs or from a file's value, as names of derivations.
#
# `asked` comes from evaluate.py. It is evaluated purely: nothing is read but the author's tree and what was fetched by
# hash. A file that cannot be evaluated so is read once more with `wrapped`: what it would ask the machine for is then
# told it from `asked`, or refused with a word (`mark`) that says what it was.
asked:
let
  inherit (builtins)
    all
    attrNames
    filter
    functionArgs
    head
    isAttrs
    isFunction
    isList
    isString
    match
    toJSON
    ;
  inherit (asked) system file;

  # Only what follows this word, which nobody else knows, is believed.
  refuse = what: abort "${asked.mark}${toJSON what}";

  tree = builtins.fetchTree {
    type = "path";
    inherit (asked) path narHash;
  };

  # ------------------------------------------------------------------ what a wrapped file sees
  # In place of builtins: for the file, and for all that it imports.
  scope = replaced // {
    builtins = builtins // replaced // underlined;
  } // underlined;
  underlined = builtins.listToAttrs (
    map (name: {
      name = "__${name}";
      value = replaced.${name};
    }) (attrNames replaced)
  ) // {
    __nixPath = [ ];
  };
  replaced = {
    import = builtins.scopedImport scope;
    scopedImport = more: builtins.scopedImport (scope // more);
    currentSystem = system;
    currentTime = refuse { construct = "currentTime"; };
    nixPath = [ ];
    inherit findFile;
    fetchTarball = hashed "fetchTarball" builtins.fetchTarball;
    fetchurl = hashed "fetchurl" builtins.fetchurl;
    fetchGit = fetched "fetchGit";
    fetchTree = args: if args ? narHash then builtins.fetchTree (known "fetchTree" args) else fetched "fetchTree" args;
  };

  # The search path holds one thing: the nixpkgs that the site has chosen for those who chose none.
  findFile =
    path: name:
    if match "nix/.*" name != null then
      builtins.findFile [ ] name
    else if asked.nixpkgs != null && match "nixpkgs(/.*)?" name != null then
      (if asked.accepted then nixpkgs + builtins.substring 7 (-1) name else refuse { construct = "<${name}>"; })
    else
      # Not `abort`: nixpkgs itself looks for what need not be there.
      throw "${asked.mark}${toJSON { construct = "<${name}>"; }}";
  nixpkgs = builtins.fetchTree {
    type = "path";
    inherit (asked.nixpkgs) path narHash;
  };

  # The same call with what was fetched for it; asked for where it has not been.
  known =
    name: args:
    let
      key = toJSON [
        name
        args
      ];
    in
    if asked.fetched ? ${key} then
      args
    else
      refuse {
        fetch = name;
        inherit args key;
      };
  hashed =
    name: fetch: given:
    let
      args = if isAttrs given then given else { url = given; };
      key = toJSON [
        name
        args
      ];
    in
    if args ? sha256 then
      fetch (known name args)
    else
      builtins.seq (known name args) (fetch (args // { inherit (asked.fetched.${key}) sha256; }));
  fetched =
    name: given:
    let
      args = if isAttrs given then given else { url = toString given; };
      found = asked.fetched.${toJSON [ name args ]};
    in
    builtins.seq (known name args) (
      found.info
      // {
        outPath = builtins.path {
          inherit (found) path name;
          sha256 = found.narHash;
        };
      }
    );

  # ------------------------------------------------------------------ which value is the environment
  flake = builtins.getFlake asked.flake;
  choices = [
    {
      kind = "packages";
      at = [ "packages" system "binder" ];
    }
    {
      kind = "shell";
      at = [ "devShells" system "default" ];
    }
    {
      kind = "packages";
      at = [ "packages" system "default" ];
    }
  ];
  find = at: value: if at == [ ] then { inherit value; } else if isAttrs value && value ? ${head at} then find (builtins.tail at) value.${head at} else { };
  # What there is instead, for whoever has misspelt a name: nothing is looked at that was not when the choices were.
  namesOf = value: if builtins.length (attrNames value) > 500 then [ ] else attrNames value;
  outputsOf =
    name:
    let
      systems = flake.outputs.${name};
    in
    if !(name == "packages" || name == "devShells") || !isAttrs systems then
      [ name ]
    else
      builtins.concatMap (
        each:
        if each == system && isAttrs systems.${each} then
          map (output: "${name}.${each}.${output}") (namesOf systems.${each})
        else
          [ "${name}.${each}" ]
      ) (namesOf systems);
  fromFlake =
    let
      there = filter (choice: find choice.at flake ? value) choices;
    in
    if there == [ ] then
      refuse {
        shape = "flake";
        outputs = builtins.concatMap outputsOf (namesOf flake.outputs);
      }
    else
      { inherit (head there) kind; } // find (head there).at flake;

  value = (if asked.wrapped then scope.import else import) (tree + "/${file}");
  needed = filter (name: !(functionArgs value).${name}) (attrNames (functionArgs value));
  fromFile = {
    value =
      if !isFunction value then
        value
      else if all (name: name == "system") needed then
        value (if functionArgs value ? system then { inherit system; } else { })
      else
        refuse {
          shape = "function";
          inherit needed;
        };
    kind = if match "(.*/)?shell\\.nix" file != null then "shell" else "packages";
  };

  # ------------------------------------------------------------------ what it is built from
  isDerivation = value: isAttrs value && value.type or null == "derivation";
  # `nix develop` needs bash too. nixpkgs' mkShell says by these attributes that it is none of the packages.
  isShell = value: match ".*/(bash|bash-static)" (toString (value.drvAttrs.builder or "")) != null;
  isMadeByMkShell = value: value ? shellHook && (value ? nobuildPhase || value.phases or null == [ "buildPhase" ]);
  named = value: {
    derivation = builtins.unsafeDiscardStringContext value.drvPath;
    output = value.outputName or "out";
  };
  told =
    { kind, value }:
    if isList value && value != [ ] && all isDerivation value then
      {
        kind = "packages";
        from = map named value;
      }
    else if isDerivation value then
      {
        kind = if (kind == "shell" || isMadeByMkShell value) && isShell value then "shell" else "packages";
        from = [ (named value) ];
      }
    else
      refuse {
        shape = "value";
        type = builtins.typeOf value;
      };
in
asked.mark + toJSON (told (if asked.flake != "" then fromFlake else fromFile))

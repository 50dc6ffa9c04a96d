;; Which derivation an author's manifest or package stands for. It is a program, run in an evaluator by the Guix that
;; the author's channels say, so this uses only what has been in Guix for years.
;;   guix repl -- environment.scm manifest|package FILE
(use-modules (guix derivations) (guix monads) (guix packages) (guix profiles) (guix store) (guix ui) (ice-9 match))

(define (manifest-of kind file)
  (match kind
    ("manifest"
     (match (load* file (make-user-module '((guix profiles) (gnu))))
       ((? manifest? manifest) manifest)
       (_ (leave (G_ "'~a' did not return a manifest~%") (basename file)))))
    ("package"
     (match (load* file (make-user-module '()))
       ((? package? package) (package->development-manifest package))
       (_ (leave (G_ "'~a' did not return a package~%") (basename file)))))))

(match (command-line)
  ((_ kind file)
   (with-store store
     (set-build-options store #:fallback? #t #:print-build-trace #t
                        #:print-extended-build-trace? #t #:multiplexed-build-output? #t)
     (let* ((manifest (manifest-of kind file))
            ;; As `guix shell` has it.
            (profile (run-with-store store
                       (profile-derivation manifest #:hooks %default-profile-hooks #:locales? #t
                                           #:allow-collisions? #t))))
       (format #t "~%@repolaunch {\"derivation\": \"~a\", \"profile\": \"~a\", \"packages\": ~a}~%"
               (derivation-file-name profile) (derivation->output-path profile)
               (length (manifest-entries manifest)))))))

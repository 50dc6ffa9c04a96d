;; Build the Guix of fetched channels: what `guix time-machine` would build of the same channels. Each channel brings a
;; program that says how it is built, so this runs in an evaluator.
;;   guix repl -- instances.scm CHANNELS.json
(use-modules (guix channels) (guix derivations) (guix monads) (guix openpgp) (guix store) (json) (ice-9 match)
             (srfi srfi-1))

(define make-instance (@@ (guix channels) channel-instance))

(define (json->instance json)
  (define (field name) (assoc-ref json name))
  (make-instance
   (channel
    (name (string->symbol (field "name")))
    (url (field "url"))
    (branch (field "branch"))
    (commit (field "commit"))
    (introduction
     (match (field "introduction")
       (((keys . values) ...)
        (make-channel-introduction (assoc-ref (field "introduction") "commit")
                                   (openpgp-fingerprint (assoc-ref (field "introduction") "signer"))))
       (_ #f))))
   (field "commit")
   (field "checkout")))

(with-store store
  (set-build-options store #:fallback? #t #:print-build-trace #t
                        #:print-extended-build-trace? #t #:multiplexed-build-output? #t)
  (let* ((instances (map json->instance
                         (vector->list (call-with-input-file (second (command-line)) json->scm))))
         (profile (run-with-store store (channel-instances->derivation instances))))
    (build-derivations store (list profile))
    (format #t "~%@repolaunch ~a~%" (scm->json-string `(("profile" . ,(derivation->output-path profile)))))))

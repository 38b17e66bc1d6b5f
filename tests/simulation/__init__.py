"""The simulation: the whole service on a virtual loop, and everything goes wrong that a seed says.

Nothing of joblog is replaced: the production assembly runs over the real file store on a simulated
disk, or over the memory store; clients speak to its application; workers on other machines are
`service.remote`'s. What is ours is the world around them: time, the order of what is ready, the
disk, the network, the processors, and who kills whom when. All of it follows from the seed, so a
failure is its seed.

    loop      virtual time, seeded order, nodes that die or stand still
    faults    what goes wrong with which seed: a random part of it each time
    storage   stores that fail, disks that are cut, and the book of what was sent and acknowledged
    machines  a server in life after life, workers elsewhere
    network   requests that come late, or not, or whose answers do not come
    work      the kinds of jobs, and the register of who ran what when
    clients   who posts, cancels, retries, pauses; and what they were told
    nemesis   who breaks things, and when
    world     one seed from beginning to end
    naive     what a job and a kind are, written once more, from the lines alone
    checker   the promises, held against log, book, register and answers
    rounds    the level

The checker knows nothing of `projections` and `service.commands`: it would only find what they
already believe.
"""

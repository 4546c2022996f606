"""What work costs: watts, kWh and CO2e of any modhub work, each figure with its source.

``equations`` and ``result`` are pure. ``rapl``, ``nvml`` and ``estimate`` make counters, which are values with one
function that reads; ``running`` adds up what they say; ``machine`` finds the counters of this machine. Nothing here
starts a process, writes a file or talks to a network.
"""
